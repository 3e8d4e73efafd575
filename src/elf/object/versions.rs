//! `DT_VERNEED` and `DT_VERDEF`: chains of records (gABI supplement of the LSB, "Symbol Versioning").

use super::reader::Reader;
use super::{ObjectError, VersionDefinition, VersionNeed};

/// `VER_FLG_WEAK`.
const WEAK: u16 = 2;
/// Records followed in one chain: many times what the largest libraries have. The steps are
/// unsigned, so a chain cannot turn back, but steps of one byte would make it long.
const MAX_RECORDS: usize = 1 << 16;

/// The chain at file offset `start`.
///
/// As the loaders do, the links are followed to their end, not `DT_VERNEEDNUM` of them.
pub(super) fn needs(reader: &mut Reader<'_>, start: u64) -> Result<Vec<VersionNeed>, ObjectError> {
    let mut needs = Vec::new();
    let mut at = start;
    let mut records = 0;
    loop {
        count(reader, &mut records, "version needs (DT_VERNEED)")?;
        let record: [u8; 16] = reader.array(at, "version needs (DT_VERNEED)")?;
        let [version, _, _, _] = reader.halves(&record);
        if version != 1 {
            return Err(reader.malformed(format!(
                "its version needs (DT_VERNEED) are of version {version}, only 1 is known"
            )));
        }
        let [_, file, first, next] = reader.words(&record);
        let file = reader.string(file.into())?;
        let mut aux = step(at, first);
        loop {
            count(reader, &mut records, "version needs (DT_VERNEED)")?;
            let record: [u8; 16] = reader.array(aux, "version needs (DT_VERNEED)")?;
            let [hash, _, name, next] = reader.words(&record);
            let [_, _, flags, _] = reader.halves(&record);
            reader.charge(file.len())?;
            needs.push(VersionNeed {
                file: file.clone(),
                version: reader.string(name.into())?,
                hash,
                weak: flags & WEAK != 0,
            });
            if next == 0 {
                break;
            }
            aux = step(aux, next);
        }
        if next == 0 {
            return Ok(needs);
        }
        at = step(at, next);
    }
}

/// The chain at file offset `start`: the first name of each definition; further ones are its parents.
pub(super) fn definitions(
    reader: &mut Reader<'_>,
    start: u64,
) -> Result<Vec<VersionDefinition>, ObjectError> {
    let mut definitions = Vec::new();
    let mut at = start;
    let mut records = 0;
    loop {
        count(reader, &mut records, "version definitions (DT_VERDEF)")?;
        // 20 bytes: four halves and three words.
        let record: [u8; 20] = reader.array(at, "version definitions (DT_VERDEF)")?;
        let mut start = [0; 16];
        let mut end = [0; 16];
        start.copy_from_slice(record.first_chunk::<16>().unwrap_or(&[0; 16]));
        end.copy_from_slice(record.last_chunk::<16>().unwrap_or(&[0; 16]));
        let [version, _, _, _] = reader.halves(&start);
        if version != 1 {
            return Err(reader.malformed(format!(
                "its version definitions (DT_VERDEF) are of version {version}, only 1 is known"
            )));
        }
        let [_, hash, aux, next] = reader.words(&end);
        let name: [u8; 4] = reader.array(step(at, aux), "version definitions (DT_VERDEF)")?;
        let name = reader.word(name);
        definitions.push(VersionDefinition {
            version: reader.string(name.into())?,
            hash,
        });
        if next == 0 {
            return Ok(definitions);
        }
        at = step(at, next);
    }
}

fn step(at: u64, by: u32) -> u64 {
    // Saturated, it lies past the end of any file.
    at.saturating_add(by.into())
}

fn count(reader: &Reader<'_>, records: &mut usize, what: &str) -> Result<(), ObjectError> {
    *records += 1;
    if *records > MAX_RECORDS {
        return Err(reader.malformed(format!("its {what} are more than {MAX_RECORDS}")));
    }
    Ok(())
}
