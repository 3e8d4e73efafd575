//! The certificate of the registry.

use std::sync::{Arc, OnceLock};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Of 127.0.0.1, signed by itself, valid from 2020 to 2120; made with openssl(1) for tests, and of
/// no use for anything else.
pub(crate) const CERTIFICATE: &str = "\
-----BEGIN CERTIFICATE-----
MIIBjDCCATKgAwIBAgIBATAKBggqhkjOPQQDAjAbMRkwFwYDVQQDDBBzZXJ2ZXIg
b2YgYSB0ZXN0MCAXDTIwMDEwMTAwMDAwMFoYDzIxMjAwMTAxMDAwMDAwWjAbMRkw
FwYDVQQDDBBzZXJ2ZXIgb2YgYSB0ZXN0MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcD
QgAEtU+mHKDzJnlSn4YIh39RGmqzaxYWolWFQZs5HyZdW8TDRynUT71ASf4d4lgm
mCrD6cbpe5LcQUZqRDncr+AB9KNlMGMwDwYDVR0RBAgwBocEfwAAATAMBgNVHRMB
Af8EAjAAMA4GA1UdDwEB/wQEAwIHgDATBgNVHSUEDDAKBggrBgEFBQcDATAdBgNV
HQ4EFgQUWTHw0oKGwBeiNLTHlRSgOv8HdmcwCgYIKoZIzj0EAwIDSAAwRQIgYGZA
xA4CaOmVwK3a3qXZ7gIdzoRBHghEjpQPRo/KDN8CIQD4m7P8pWMWLQLgLEq36ltg
8L+KpJ7Qjh1bvJBKRZbSGw==
-----END CERTIFICATE-----
";

const KEY: &str = "\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgag9854m/0waGBWXk
s1m/NRINycYMpW3JyzdVd7FJfvuhRANCAAS1T6YcoPMmeVKfhgiHf1EaarNrFhai
VYVBmzkfJl1bxMNHKdRPvUBJ/h3iWCaYKsPpxul7ktxBRmpEOdyv4AH0
-----END PRIVATE KEY-----
";

pub(super) fn settings() -> Arc<ServerConfig> {
    static SETTINGS: OnceLock<Arc<ServerConfig>> = OnceLock::new();
    let made = SETTINGS.get_or_init(|| {
        let provider = rustls::crypto::ring::default_provider();
        let certificate = CertificateDer::from_pem_slice(CERTIFICATE.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(KEY.as_bytes()).unwrap();
        let settings = ServerConfig::builder_with_provider(provider.into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        Arc::new(settings)
    });
    Arc::clone(made)
}
