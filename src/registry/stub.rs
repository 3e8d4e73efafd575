use super::*;
use oci_spec::image::{Descriptor, Digest, MediaType};
#[allow(missing_docs)]
impl Client {
    pub fn tags(&self, _: &Repository) -> Result<Vec<String>, RegistryError> { todo!() }
    pub fn referrers(&self, _: &Repository, _: &Digest, _: Option<&str>) -> Result<Vec<Descriptor>, RegistryError> { todo!() }
    pub fn put_manifest(&self, _: &Repository, _: &str, _: &MediaType, _: &[u8]) -> Result<Descriptor, RegistryError> { todo!() }
    pub fn delete_manifest(&self, _: &Repository, _: &Digest) -> Result<bool, RegistryError> { todo!() }
    pub fn head_manifest(&self, _: &Repository, _: &str) -> Result<Option<Descriptor>, RegistryError> { todo!() }
    pub fn has_blob(&self, _: &Repository, _: &Descriptor) -> Result<bool, RegistryError> { todo!() }
}
