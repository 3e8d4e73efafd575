//! Files with certificates that are believed beside the system's.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::RegistryError;

/// The most of a file that is read, in bytes: ten times what a whole system believes.
const LARGEST: u64 = 4 << 20;

/// The certificates in these files.
pub(super) fn certificates(
    files: &[PathBuf],
) -> Result<Vec<CertificateDer<'static>>, RegistryError> {
    let mut all = Vec::new();
    for path in files {
        let found = read(path).map_err(|why| RegistryError::CaFile {
            path: path.clone(),
            why,
        })?;
        all.extend(found);
    }
    Ok(all)
}

fn read(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    // Asked before it is opened: to open a pipe means to wait for who writes to it.
    let metadata = fs::metadata(path).map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("it is no regular file".to_owned());
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes))
        .map_err(|error| error.to_string())?;
    if bytes.len() as u64 > LARGEST {
        return Err(format!(
            "it has more than {LARGEST} bytes; name a file with the certificate of the authority alone"
        ));
    }
    let found: Vec<_> = CertificateDer::pem_slice_iter(&bytes)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("it is damaged: {error}"))?;
    if found.is_empty() {
        let why =
            "there is no certificate in it: PEM is expected, with -----BEGIN CERTIFICATE-----";
        // DER begins with a sequence.
        return Err(match bytes.first() {
            Some(0x30) => format!(
                "{why}; openssl x509 -inform der -in {} makes one of DER",
                path.display()
            ),
            _ => why.to_owned(),
        });
    }
    let mut roots = RootCertStore::empty();
    for certificate in &found {
        roots
            .add(certificate.clone())
            .map_err(|error| format!("a certificate in it is damaged: {error}"))?;
    }
    Ok(found)
}
