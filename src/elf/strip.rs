//! Dropping what no loader reads: debug sections and symbol tables (`strip(1)`).

use std::sync::Arc;

use goblin::container::{Container, Ctx, Endian};
use goblin::elf::header::{ET_DYN, ET_EXEC, Header};
use goblin::elf::program_header::{PT_LOAD, ProgramHeader};
use object::build::elf::{Builder, Section, SectionData};
use object::elf::{SHT_REL, SHT_RELA, SHT_SYMTAB, SHT_SYMTAB_SHNDX};

use super::{Object, ObjectError};
use crate::sysroot::OpenFile;

/// Why an object was not stripped. It can be packed as it is.
#[derive(Debug, thiserror::Error)]
pub enum StripError {
    /// It is no ELF object, or a damaged one.
    #[error("{0}")]
    Object(#[from] ObjectError),
    /// It is no program and no shared library: its symbols are what it is for.
    #[error("it is neither a program nor a shared library")]
    NotLinked,
    /// Something stands behind what ELF describes, as in self-extracting programs, and
    /// would be lost or moved.
    #[error("it has {bytes} bytes of other data at its end, which stripping would lose")]
    Appended {
        /// How many bytes.
        bytes: u64,
    },
    /// The tables could not be rewritten.
    #[error("its sections cannot be rewritten: {0}")]
    Rewrite(#[from] object::build::Error),
    /// The result would not be the same to the loader.
    #[error("rewriting it would change what is loaded ({0})")]
    Changed(&'static str),
}

/// The object in `bytes` without its debug sections, symbol table (the dynamic one stays) and
/// compiler's comments; `bytes` itself when it has none of them.
///
/// What is loaded is never touched: the result is compared with the original, segment by segment
/// and in the facts that [`Object`] holds, and thrown away if it differs.
///
/// # Errors
/// When the object cannot be stripped without a change to what is loaded; see [`StripError`].
pub fn strip(bytes: &[u8]) -> Result<Vec<u8>, StripError> {
    let facts = read(bytes)?;
    let before = Layout::read(bytes)?;
    if ![ET_EXEC, ET_DYN].contains(&before.header.e_type) {
        return Err(StripError::NotLinked);
    }
    let mut builder = Builder::read(bytes)?;
    let mut dropped = false;
    for section in &mut builder.sections {
        section.delete = is_dropped(section);
        dropped |= section.delete;
    }
    if !dropped {
        return Ok(bytes.to_vec());
    }
    before.refuse_appended(bytes, &builder)?;
    // The table of strings goes with the table of symbols that it belongs to.
    for section in &mut builder.sections {
        section.delete |= matches!(section.data, SectionData::String) && !section.is_alloc();
    }
    for symbol in &mut builder.symbols {
        symbol.delete = true;
    }
    keep_loaded_as_it_is(&mut builder, bytes);
    let mut stripped = Vec::new();
    builder.write(&mut stripped)?;
    before.restore_gaps(bytes, &mut stripped)?;
    if stripped.len() >= bytes.len() {
        return Ok(bytes.to_vec());
    }
    if read(&stripped)? != facts {
        return Err(StripError::Changed("the dynamic section"));
    }
    before.compare(bytes, &stripped)?;
    Ok(stripped)
}

/// Whether nothing at run time reads the section. Notes and unknown sections stay, as does the
/// link to a separate debug file.
fn is_dropped(section: &Section<'_>) -> bool {
    const NAMES: [&[u8]; 7] = [
        b".comment",
        b".gdb_index",
        b".gnu_debugdata",
        b".gnu.build.attributes",
        b".stab",
        b".stabstr",
        b".GCC.command.line",
    ];
    const PREFIXES: [&[u8]; 3] = [b".debug", b".zdebug", b".gnu.debuglto_"];
    // Relocations that are not loaded belong to the link (`--emit-relocs`) and need the symbols.
    let of_link = [SHT_SYMTAB, SHT_SYMTAB_SHNDX, SHT_REL, SHT_RELA].contains(&section.sh_type);
    let name = section.name.as_slice();
    !section.is_alloc()
        && (of_link
            || NAMES.contains(&name)
            || PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
}

/// The builder takes dynamic tables apart and would write them anew, in another order. Here their
/// bytes are given to it as they are.
fn keep_loaded_as_it_is<'a>(builder: &mut Builder<'a>, bytes: &'a [u8]) {
    for section in &mut builder.sections {
        let empty = matches!(section.data, SectionData::UninitializedData(_));
        if section.is_alloc() && !empty {
            let end = section.sh_offset.saturating_add(section.sh_size);
            let content = range(bytes, section.sh_offset, end);
            section.data = SectionData::Data(content.into());
        }
    }
    for symbol in &mut builder.dynamic_symbols {
        symbol.delete = true;
    }
    for version in &mut builder.versions {
        version.delete = true;
    }
    for file in &mut builder.version_files {
        file.delete = true;
    }
    builder.version_base = None;
    builder.hash_bucket_count = 0;
    builder.gnu_hash_bucket_count = 0;
}

/// The headers of an object.
struct Layout {
    header: Header,
    segments: Vec<ProgramHeader>,
}

impl Layout {
    fn read(bytes: &[u8]) -> Result<Self, StripError> {
        const BAD: StripError = StripError::Changed("the headers");
        let header = goblin::elf::Elf::parse_header(bytes).map_err(|_| BAD)?;
        let container = header.container().map_err(|_| BAD)?;
        let order = header.endianness().map_err(|_| BAD)?;
        let segments = segments(bytes, &header, container, order).ok_or(BAD)?;
        Ok(Self { header, segments })
    }

    /// Refuses what has data behind all sections, segments and tables.
    fn refuse_appended(&self, bytes: &[u8], builder: &Builder<'_>) -> Result<(), StripError> {
        let table = u64::from(self.header.e_shentsize) * u64::from(self.header.e_shnum);
        let segments = self
            .segments
            .iter()
            .map(|segment| (segment.p_offset, segment.p_filesz));
        // A section without content of its own (`.bss`) takes no room in the file.
        let sections = builder
            .sections
            .iter()
            .filter(|section| !matches!(section.data, SectionData::UninitializedData(_)))
            .map(|section| (section.sh_offset, section.sh_size));
        let end = segments
            .chain(sections)
            .chain([(self.header.e_shoff, table)])
            .map(|(offset, size)| offset.saturating_add(size))
            .max()
            .unwrap_or(0);
        // Zeros are padding.
        let left = range(bytes, end, u64::MAX);
        if left.iter().all(|byte| *byte == 0) {
            return Ok(());
        }
        Err(StripError::Appended {
            bytes: left.len() as u64,
        })
    }

    /// What lies between sections is loaded, too, and may not be zero: it is copied. Nothing else
    /// may have been moved there.
    fn restore_gaps(&self, before: &[u8], after: &mut [u8]) -> Result<(), StripError> {
        let stripped = Builder::read(&*after)?;
        let original = Builder::read(before)?;
        let loaded = |builder: &Builder<'_>| -> Vec<(Vec<u8>, u64, u64, u64)> {
            let sections = builder.sections.iter().filter(|section| section.is_alloc());
            let facts = sections.map(|section| {
                let name = section.name.as_slice().to_vec();
                (name, section.sh_addr, section.sh_offset, section.sh_size)
            });
            facts.collect()
        };
        if loaded(&stripped) != loaded(&original) {
            return Err(StripError::Changed("the place of a section"));
        }
        let others: Vec<(u64, u64)> = stripped
            .sections
            .iter()
            .filter(|section| !section.is_alloc())
            .map(|section| (section.sh_offset, section.sh_size))
            .chain([(Self::read(after)?.header.e_shoff, 1)])
            .collect();
        for (start, end) in self.loads() {
            let inside = |&(offset, size): &(u64, u64)| {
                size > 0 && offset < end && offset.saturating_add(size) > start
            };
            if others.iter().any(inside) {
                return Err(StripError::Changed("what lies between the segments"));
            }
            let from = range(before, start, end);
            let at = usize::try_from(start).unwrap_or(usize::MAX);
            let to = at
                .checked_add(from.len())
                .and_then(|to| after.get_mut(at..to));
            match to {
                Some(to) => to.copy_from_slice(from),
                None => return Err(StripError::Changed("the length of a segment")),
            }
        }
        Ok(())
    }

    /// Where the loadable segments start and end in the file, without the ELF header.
    fn loads(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let header = u64::from(self.header.e_ehsize);
        let loads = self
            .segments
            .iter()
            .filter(|segment| segment.p_type == PT_LOAD);
        loads.map(move |segment| {
            let end = segment.p_offset.saturating_add(segment.p_filesz);
            (segment.p_offset.max(header).min(end), end)
        })
    }

    /// Compares all that is loaded, except where the header points to the sections.
    fn compare(&self, before: &[u8], after: &[u8]) -> Result<(), StripError> {
        let stripped = Self::read(after)?;
        let plain = |header: &Header| Header {
            e_shoff: 0,
            e_shnum: 0,
            e_shstrndx: 0,
            ..*header
        };
        if plain(&self.header) != plain(&stripped.header) {
            return Err(StripError::Changed("the ELF header"));
        }
        if self.segments != stripped.segments {
            return Err(StripError::Changed("the program headers"));
        }
        for (start, end) in self.loads() {
            if range(before, start, end) != range(after, start, end) {
                return Err(StripError::Changed("a loadable segment"));
            }
        }
        Ok(())
    }
}

fn segments(
    bytes: &[u8],
    header: &Header,
    container: Container,
    order: Endian,
) -> Option<Vec<ProgramHeader>> {
    let offset = usize::try_from(header.e_phoff).ok()?;
    let table = bytes.get(offset..)?;
    let count = usize::from(header.e_phnum);
    ProgramHeader::parse(table, 0, count, Ctx::new(container, order)).ok()
}

/// The bytes from `start` to `end`; fewer where the file ends before.
fn range(bytes: &[u8], start: u64, end: u64) -> &[u8] {
    let clamp = |at: u64| usize::try_from(at).map_or(bytes.len(), |at| at.min(bytes.len()));
    bytes.get(clamp(start)..clamp(end)).unwrap_or_default()
}

fn read(bytes: &[u8]) -> Result<Object, ObjectError> {
    let mut object = Object::read(&OpenFile::from_memory(Arc::from(bytes), 0o755, 0))?;
    // They are about the file, not about what is loaded.
    object.warnings.clear();
    Ok(object)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use std::path::{Path, PathBuf};
    use std::process::Command;

    use super::*;

    fn compile(directory: &Path, source: &str, arguments: &[&str]) -> PathBuf {
        let input = directory.join("x.c");
        let output = directory.join("x");
        std::fs::write(&input, source).unwrap();
        let status = Command::new("cc")
            .args([&input, Path::new("-o"), &output])
            .args(arguments)
            .status()
            .unwrap();
        assert!(status.success());
        output
    }

    const PROGRAM: &str = "#include <stdio.h>\n__thread int t = 3; static int b[999];\n\
                           int main(int c, char **v) { printf(\"%d\\n\", t + b[c]); return 7; }";

    #[test]
    fn a_stripped_program_is_smaller_and_runs_as_before() {
        for arguments in [
            &["-g"][..],
            &["-g", "-no-pie"],
            &["-g", "-Wl,--emit-relocs"],
            &["-s"],
        ] {
            let directory = tempfile::tempdir().unwrap();
            let program = compile(directory.path(), PROGRAM, arguments);
            let before = std::fs::read(&program).unwrap();
            let after = strip(&before).unwrap();
            if arguments != ["-s"] {
                assert!(after.len() < before.len() * 9 / 10, "{arguments:?}");
            }
            assert!(!after.windows(7).any(|window| window == b".debug_"));
            std::fs::write(&program, &after).unwrap();
            let output = Command::new(&program).output().unwrap();
            assert_eq!(output.status.code(), Some(7), "{arguments:?}");
            assert_eq!(output.stdout, b"3\n");
            assert_eq!(
                strip(&after).unwrap(),
                after,
                "stripping again changes nothing"
            );
        }
    }

    /// The libraries of this machine are mostly stripped: those that are not show that real ones can be.
    #[test]
    fn nothing_on_this_machine_is_changed_in_what_is_loaded() {
        let (mut done, mut refused) = (0, 0);
        let executable = std::env::current_exe().unwrap();
        let bytes = std::fs::read(executable).unwrap();
        assert!(strip(&bytes).unwrap().len() < bytes.len());
        for directory in [
            "/usr/bin",
            "/usr/lib/x86_64-linux-gnu",
            "/usr/lib64",
            "/usr/lib",
        ] {
            let Ok(entries) = std::fs::read_dir(directory) else {
                continue;
            };
            let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
            paths.sort();
            let small = |path: &&PathBuf| path.metadata().is_ok_and(|facts| facts.len() < 1 << 20);
            for path in paths
                .iter()
                .filter(|path| path.is_file())
                .filter(small)
                .take(60)
            {
                let Ok(bytes) = std::fs::read(path) else {
                    continue;
                };
                if !bytes.starts_with(b"\x7fELF") {
                    continue;
                }
                match strip(&bytes) {
                    Ok(stripped) => {
                        assert!(stripped.len() <= bytes.len());
                        done += 1;
                    }
                    Err(StripError::Changed(what)) => panic!("{}: {what}", path.display()),
                    Err(_) => refused += 1,
                }
            }
        }
        assert!(done > refused, "{done} {refused}");
    }

    #[test]
    fn data_appended_to_a_program_is_not_lost() {
        let directory = tempfile::tempdir().unwrap();
        let program = compile(directory.path(), PROGRAM, &["-g"]);
        let mut bytes = std::fs::read(program).unwrap();
        bytes.extend([7; 10]);
        let error = strip(&bytes).unwrap_err();
        assert!(
            matches!(error, StripError::Appended { bytes: 10 }),
            "{error}"
        );
    }

    #[test]
    fn an_object_file_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let object = compile(directory.path(), PROGRAM, &["-g", "-c"]);
        let error = strip(&std::fs::read(object).unwrap()).unwrap_err();
        assert!(matches!(error, StripError::NotLinked));
    }
}
