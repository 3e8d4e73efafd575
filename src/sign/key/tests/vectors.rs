//! Vectors of the standards.

use super::super::import::pkcs8;
use super::super::private::Secret;
use super::super::public::Point;
use super::super::sealed;
use super::super::{PrivateKey, PublicKey};
use super::{hex, password};
use p256::elliptic_curve::sec1::ToEncodedPoint;

/// RFC 6979 A.2.5: P-256, SHA-256.
#[test]
fn p256_signs_as_rfc_6979_says() {
    let scalar = hex("C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721");
    let key = PrivateKey(Secret::P256(p256::SecretKey::from_slice(&scalar).unwrap()));
    let public = key.public();
    let PublicKey(Point::P256(point)) = &public else {
        panic!("{public:?}");
    };
    let x = hex("60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6");
    assert_eq!(point.to_encoded_point(false).x().unwrap().to_vec(), x);
    let r = hex("EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716");
    let s = hex("F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8");
    // An s in the upper half of the order: it is left as it is.
    assert_eq!(key.sign(b"sample").unwrap(), der(&r, &s));
    let r = hex("F1ABB023518351CD71D881567B1EA663ED3EFCF6C5132B354F28D3B0B7D38367");
    let s = hex("019F4113742A2B14BD25926B49C649155F267E60D3814B4C0CC84250E46F0083");
    assert_eq!(key.sign(b"test").unwrap(), der(&r, &s));
}

/// RFC 6979 A.2.6: P-384, with SHA-256 and SHA-384.
#[test]
fn p384_takes_signatures_over_either_hash() {
    let scalar = hex(
        "6B9D3DAD2E1B8C1C05B19875B6659F4DE23C3B667BF297BA9AA47740787137D896D5724E4C70A825F872C9EA60D2EDF5",
    );
    let key = PrivateKey(Secret::P384(p384::SecretKey::from_slice(&scalar).unwrap()));
    let over_sha256 = (
        "21B13D1E013C7FA1392D03C5F99AF8B30C570C6F98D4EA8E354B63A21D3DAA33BDE1E888E63355D92FA2B3C36D8FB2CD",
        "F3AA443FB107745BF4BD77CB3891674632068A10CA67E3D45DB2266FA7D1FEEBEFDC63ECCD1AC42EC0CB8668A4FA0AB0",
    );
    let over_sha384 = (
        "94EDBB92A5ECB8AAD4736E56C691916B3F88140666CE9FA73D64C4EA95AD133C81A648152E44ACF96E36DD1E80FABE46",
        "99EF4AEB15F178CEA1FE40DB2603138F130E740A19624526203B6351D0A3A94FA329C145786E679E7B82C71A38628AC8",
    );
    for (r, s) in [over_sha256, over_sha384] {
        let signature = der(&hex(r), &hex(s));
        assert_eq!(key.public().verify(b"sample", &signature), Ok(()));
        assert!(key.public().verify(b"simple", &signature).is_err());
    }
}

/// RFC 8032 7.1, TEST 2, and 7.3, TEST abc.
#[test]
fn ed25519_signs_as_rfc_8032_says() {
    let seed = hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
    let key = of_seed(&seed);
    let signature = hex(
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    );
    assert_eq!(key.sign(&[0x72]).unwrap(), signature);
    let seed = hex("833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42");
    let prehashed = hex(
        "98a70222f0b8121aa9d30f813d683f809e462b469c7ff87639499bb94e6dae4131f85042463c2a355a2003d062adf5aaa10b8c61e636062aaad11c2a26083406",
    );
    assert_eq!(of_seed(&seed).public().verify(b"abc", &prehashed), Ok(()));
    assert!(of_seed(&seed).public().verify(b"abd", &prehashed).is_err());
}

/// RFC 8410 10.3: with the public half, and without.
#[test]
fn the_ed25519_keys_of_rfc_8410_are_read() {
    let seed = hex("D4EE72DBF913584AD5B6D8F1F769F8AD3AFE7C28CBF1D4FBE097A88F44755842");
    let public = hex("19BF44096984CDFE8541BAC167DC3B96C85086AA30B6B6CB0C5C38AD703166E1");
    let plain = [hex("302e020100300506032b657004220420"), seed.clone()].concat();
    let key = pkcs8(&plain, "it").unwrap();
    assert_eq!(key.public(), of_seed(&seed).public());
    assert_eq!(*key.to_pkcs8().unwrap(), plain);
    let both = [
        hex("3051020101300506032b657004220420"),
        seed.clone(),
        hex("812100"),
        public.clone(),
    ]
    .concat();
    assert_eq!(pkcs8(&both, "it").unwrap().public(), key.public());
    let mut unlike = both;
    *unlike.last_mut().unwrap() ^= 1;
    let error = pkcs8(&unlike, "it").unwrap_err().to_string();
    assert!(error.contains("public half"), "{error}");
}

/// RFC 7914 12: the vector that has N 16384, r 8, p 1.
#[test]
fn scrypt_is_that_of_rfc_7914() {
    let mut key = [0; 64];
    let cost = scrypt::Params::new(14, 8, 1, key.len()).unwrap();
    scrypt::scrypt(b"pleaseletmein", b"SodiumChloride", &cost, &mut key).unwrap();
    let wanted = hex(
        "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887",
    );
    assert_eq!(key.to_vec(), wanted);
}

/// The vector of NaCl, `tests/secretbox.c`.
#[test]
fn secretbox_is_that_of_nacl() {
    use crypto_secretbox::aead::Aead;
    use crypto_secretbox::{KeyInit, XSalsa20Poly1305};
    let key = hex("1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389");
    let nonce = hex("69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37");
    let message = hex(
        "be075fc53c81f2d5cf141316ebeb0c7b5228c52a4c62cbd44b66849b64244ffce5ecbaaf33bd751a1ac728d45e6c61296cdc3c01233561f41db66cce314adb310e3be8250c46f06dceea3a7fa1348057e2f6556ad6b1318a024a838f21af1fde048977eb48f59ffd4924ca1c60902e52f0a089bc76897040e082f937763848645e0705",
    );
    let cipher = XSalsa20Poly1305::new_from_slice(&key).unwrap();
    let nonce: [u8; 24] = nonce.try_into().unwrap();
    let sealed = cipher.encrypt(&nonce.into(), message.as_slice()).unwrap();
    assert_eq!(sealed[..16], hex("f3ffc7703f9400e52a7dfb4b3d3305d9"));
    assert_eq!(sealed[16..32], hex("8e993b9f48681273c29650ba32fc76ce"));
    assert_eq!(cipher.decrypt(&nonce.into(), &*sealed).unwrap(), message);
}

/// The same salt and nonce as in cosign's file give cosign's file, byte for byte.
#[test]
fn a_key_file_is_written_as_cosign_writes_it() {
    for name in ["v2-p256", "v3-p256", "v3-p384", "v3-ed25519"] {
        let file = super::text(&format!("cosign/{name}.key"));
        let key = super::open(file.as_bytes()).unwrap();
        let block = super::super::pem::only(file.as_bytes(), name).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&block.decode(name).unwrap()).unwrap();
        let bytes = |text: &serde_json::Value| {
            use base64ct::Encoding;
            base64ct::Base64::decode_vec(text.as_str().unwrap()).unwrap()
        };
        let salt = bytes(&json["kdf"]["salt"]).try_into().unwrap();
        let nonce = bytes(&json["cipher"]["nonce"]).try_into().unwrap();
        let pkcs8 = key.to_pkcs8().unwrap();
        let written = sealed::seal_with(&pkcs8, &password("secret"), &salt, &nonce).unwrap();
        // Go's PEM ends with a line end, too.
        assert_eq!(written, file, "{name}");
    }
}

fn of_seed(seed: &[u8]) -> PrivateKey {
    let key = ed25519_dalek::SigningKey::try_from(seed).unwrap();
    PrivateKey(Secret::Ed25519(Box::new(key)))
}

/// The signature of these two numbers in DER.
fn der(r: &[u8], s: &[u8]) -> Vec<u8> {
    let integer = |number: &[u8]| {
        let start = number.iter().position(|byte| *byte != 0).unwrap();
        let mut number = number[start..].to_vec();
        if number[0] >= 0x80 {
            number.insert(0, 0);
        }
        [vec![2, u8::try_from(number.len()).unwrap()], number].concat()
    };
    let both = [integer(r), integer(s)].concat();
    [vec![0x30, u8::try_from(both.len()).unwrap()], both].concat()
}
