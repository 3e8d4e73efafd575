//! The facts of one ELF file that loading it depends on.
//!
//! Only headers, the dynamic section and notes are read, by offset: a few pages
//! of a file of any size. Section headers are never used; they may be absent.

mod error;
mod foreign;
mod header;
mod machine;
mod note;
mod pages;
mod reader;
mod versions;

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use goblin::container::{Container, Ctx, Endian};
use goblin::elf::dynamic::{
    DF_1_NODEFLIB, DF_1_PIE, DT_AUDIT, DT_DEPAUDIT, DT_FLAGS_1, DT_NEEDED, DT_RPATH, DT_RUNPATH,
    DT_SONAME, DT_STRSZ, DT_STRTAB, DT_VERDEF, DT_VERNEED, Dynamic,
};
use goblin::elf::header::{EI_OSABI, ET_DYN, ET_EXEC, Header};
use goblin::elf::program_header::{PT_DYNAMIC, PT_INTERP, PT_LOAD, PT_NOTE, ProgramHeader};

use crate::sysroot::OpenFile;

pub use error::ObjectError;
pub use foreign::Foreign;
pub use header::Refusal;
pub(super) use machine::{ARM_FLOAT_HARD, ARM_FLOAT_SOFT, MIPS_N32};
pub use machine::{ByteOrder, Class, Machine};

use header::{identify, refusal};
use pages::Pages;
use reader::{Load, Reader};

/// How the object can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectKind {
    /// Has an interpreter: started by the kernel through the dynamic loader.
    Dynamic,
    /// An executable without interpreter: `ET_EXEC`, or `ET_DYN` marked `DF_1_PIE` (static-pie).
    Static,
    /// A shared library.
    Library,
    /// A relocatable file, a core dump or something else that is not loaded.
    Other,
}

/// The facts of one ELF file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// What it runs on.
    pub machine: Machine,
    /// How it can be used.
    pub kind: ObjectKind,
    /// `ET_EXEC`, or marked `DF_1_PIE`: refused by the loaders as a library.
    pub executable: bool,
    /// `EI_OSABI`.
    pub os_abi: u8,
    /// `PT_INTERP`.
    pub interpreter: Option<PathBuf>,
    /// `DT_SONAME`.
    pub soname: Option<OsString>,
    /// `DT_NEEDED` in table order, `DT_FILTER` and `DT_AUXILIARY` apart.
    pub needed: Vec<OsString>,
    /// `DT_FILTER`: must exist.
    pub filters: Vec<OsString>,
    /// `DT_AUXILIARY`: may exist.
    pub auxiliaries: Vec<OsString>,
    /// `DT_AUDIT` and `DT_DEPAUDIT`, split at `:`.
    pub audits: Vec<OsString>,
    /// `DT_RPATH`, unsplit.
    pub rpath: Option<OsString>,
    /// `DT_RUNPATH`, unsplit.
    pub runpath: Option<OsString>,
    /// `DF_1_NODEFLIB`.
    pub no_default_lib: bool,
    /// Version needs, of `DT_VERNEED`.
    pub version_needs: Vec<VersionNeed>,
    /// Version definitions, of `DT_VERDEF`.
    pub version_definitions: Vec<VersionDefinition>,
    /// Libraries that the object says it opens by `dlopen` (UAPI.12).
    pub dlopen_notes: Vec<DlopenNote>,
    /// Why the loaders would refuse it, although it could be read.
    pub refused: Option<Refusal>,
    /// What is odd about the file without making it unusable, in words for people.
    pub warnings: Vec<String>,
}

/// One version that another object must define.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionNeed {
    /// The soname of the object that must define it.
    pub file: OsString,
    /// The version, such as `GLIBC_2.34`.
    pub version: OsString,
    /// `vna_hash`.
    pub hash: u32,
    /// `VER_FLG_WEAK`: its absence is no error.
    pub weak: bool,
}

/// One version that the object defines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionDefinition {
    /// The version.
    pub version: OsString,
    /// `vd_hash`.
    pub hash: u32,
}

/// One entry of a `.note.dlopen` note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DlopenNote {
    /// Alternatives, best first.
    pub sonames: Vec<OsString>,
    /// What the library is for.
    pub feature: Option<String>,
    /// The feature in words.
    pub description: Option<String>,
    /// How much it matters.
    pub priority: super::Priority,
}

/// `DT_AUXILIARY` and `DT_FILTER`: Sun's extensions, which goblin does not name.
const DT_AUXILIARY: u64 = 0x7fff_fffd;
const DT_FILTER: u64 = 0x7fff_ffff;

/// The kernel's limit on the size of the program headers (`load_elf_phdrs`), in bytes.
const MAX_PROGRAM_HEADERS: u64 = 64 * 1024;
/// 65,536 entries of 64-bit; the largest known objects have some hundreds.
const MAX_DYNAMIC: u64 = 1024 * 1024;
/// The kernel's limit on the path in `PT_INTERP` (`PATH_MAX`), in bytes.
const MAX_INTERPRETER: u64 = 4096;
/// All notes together, in bytes.
const MAX_NOTES: u64 = 256 * 1024;
/// The smallest page of the machines known: what is mapped past the end of the file within
/// one page of it reads as zeros.
const PAGE: u64 = 4096;

impl Object {
    /// Reads the facts of `file`.
    ///
    /// # Errors
    /// When it is no ELF file, is cut short, or its tables point outside it.
    pub fn read(file: &OpenFile) -> Result<Self, ObjectError> {
        let pages = Pages::new(file)?;
        let (header, machine) = identify(&pages)?;
        let mut reader = Reader::new(pages, machine);
        let mut object = Self::new(&header, machine);
        if u64::from(header.e_phentsize) != program_header_size(machine) && header.e_phnum != 0 {
            object.refused = object.refused.or(Some(Refusal::Header(
                "its program headers have another size (e_phentsize) than the format says",
            )));
            return Ok(object);
        }
        let segments = segments(&mut reader, &header)?;
        object.read_interpreter(&mut reader, &segments)?;
        let pie = object.read_dynamic(&mut reader, &segments)?;
        object.read_notes(&mut reader, &segments);
        object.executable = header.e_type == ET_EXEC || pie;
        object.kind = match header.e_type {
            ET_EXEC | ET_DYN if object.interpreter.is_some() => ObjectKind::Dynamic,
            ET_EXEC => ObjectKind::Static,
            ET_DYN if pie => ObjectKind::Static,
            ET_DYN => ObjectKind::Library,
            _ => ObjectKind::Other,
        };
        let sections = header.e_shoff;
        if sections > file.size {
            object.warnings.push(format!(
                "its section headers should be at {sections:#x}, past its end at {:#x}: was it cut \
                 short?",
                file.size
            ));
        }
        Ok(object)
    }

    fn new(header: &Header, machine: Machine) -> Self {
        Self {
            machine,
            kind: ObjectKind::Other,
            executable: header.e_type == ET_EXEC,
            os_abi: header.e_ident[EI_OSABI],
            interpreter: None,
            soname: None,
            needed: Vec::new(),
            filters: Vec::new(),
            auxiliaries: Vec::new(),
            audits: Vec::new(),
            rpath: None,
            runpath: None,
            no_default_lib: false,
            version_needs: Vec::new(),
            version_definitions: Vec::new(),
            dlopen_notes: Vec::new(),
            refused: refusal(header),
            warnings: Vec::new(),
        }
    }

    /// `PT_INTERP`. As in the kernel, the first one counts.
    fn read_interpreter(
        &mut self,
        reader: &mut Reader<'_>,
        segments: &[ProgramHeader],
    ) -> Result<(), ObjectError> {
        let Some(segment) = segments.iter().find(|segment| segment.p_type == PT_INTERP) else {
            return Ok(());
        };
        if segment.p_filesz > MAX_INTERPRETER {
            return Err(reader.malformed(format!(
                "the path of its interpreter (PT_INTERP) has {} bytes, the kernel takes \
                 {MAX_INTERPRETER}",
                segment.p_filesz
            )));
        }
        let mut path = reader.bytes(
            segment.p_offset,
            segment.p_filesz,
            "interpreter (PT_INTERP)",
        )?;
        let end = path.iter().position(|byte| *byte == 0);
        path.truncate(end.unwrap_or(path.len()));
        if path.is_empty() {
            return Err(reader.malformed("its interpreter (PT_INTERP) is empty".to_string()));
        }
        self.interpreter = Some(PathBuf::from(OsString::from_vec(path)));
        Ok(())
    }

    /// `PT_DYNAMIC`, and the tables that it points to. Tells whether `DF_1_PIE` is set.
    fn read_dynamic(
        &mut self,
        reader: &mut Reader<'_>,
        segments: &[ProgramHeader],
    ) -> Result<bool, ObjectError> {
        let entries = dynamic_entries(reader, segments)?;
        // As in the loaders, the last entry counts where a tag stands twice.
        let last = |tag| entries.iter().rev().find(|(entry, _)| *entry == tag);
        let value = |tag| last(tag).map(|(_, value)| *value);
        if let Some(address) = value(DT_STRTAB) {
            let (offset, mapped) = reader.table(address, "string table (DT_STRTAB)")?;
            let size = value(DT_STRSZ).unwrap_or(mapped);
            if offset.saturating_add(size) > reader.pages.size() {
                return Err(reader.truncated("string table (DT_STRTAB)", offset, size));
            }
            // The loaders take no notice of DT_STRSZ.
            reader.strings = Some((offset, mapped));
        }
        for (tag, value) in &entries {
            let list = match *tag {
                DT_NEEDED => &mut self.needed,
                DT_FILTER => &mut self.filters,
                DT_AUXILIARY => &mut self.auxiliaries,
                _ => continue,
            };
            list.push(reader.string(*value)?);
        }
        let mut named = |tag| value(tag).map(|index| reader.string(index)).transpose();
        self.soname = named(DT_SONAME)?;
        self.rpath = named(DT_RPATH)?;
        self.runpath = named(DT_RUNPATH)?;
        for tag in [DT_AUDIT, DT_DEPAUDIT] {
            let list = named(tag)?.unwrap_or_default().into_vec();
            let names = list.split(|byte| *byte == b':');
            let names = names.filter(|name| !name.is_empty());
            self.audits
                .extend(names.map(|name| OsString::from_vec(name.to_vec())));
        }
        if let Some(address) = value(DT_VERNEED) {
            let (offset, _) = reader.table(address, "version needs (DT_VERNEED)")?;
            self.version_needs = versions::needs(reader, offset)?;
        }
        if let Some(address) = value(DT_VERDEF) {
            let (offset, _) = reader.table(address, "version definitions (DT_VERDEF)")?;
            self.version_definitions = versions::definitions(reader, offset)?;
        }
        let flags = value(DT_FLAGS_1).unwrap_or(0);
        self.no_default_lib = flags & DF_1_NODEFLIB != 0;
        Ok(flags & DF_1_PIE != 0)
    }

    /// The loaders do without notes, so bad ones are no reason to fail.
    fn read_notes(&mut self, reader: &mut Reader<'_>, segments: &[ProgramHeader]) {
        let mut left = MAX_NOTES;
        for segment in segments.iter().filter(|segment| segment.p_type == PT_NOTE) {
            let Some(rest) = left.checked_sub(segment.p_filesz) else {
                self.warnings.push(format!(
                    "its notes take more than {} KiB, the rest is not read",
                    MAX_NOTES >> 10
                ));
                break;
            };
            left = rest;
            let bytes = match reader.bytes(segment.p_offset, segment.p_filesz, "notes (PT_NOTE)") {
                Ok(bytes) => bytes,
                Err(error) => {
                    self.warnings.push(error.to_string());
                    continue;
                }
            };
            let notes = note::dlopen_notes(
                &bytes,
                segment.p_align,
                reader.machine.order,
                &mut self.warnings,
            );
            self.dlopen_notes.extend(notes);
        }
    }
}

fn program_header_size(machine: Machine) -> u64 {
    match machine.class {
        Class::Elf32 => 32,
        Class::Elf64 => 56,
    }
}

fn context(machine: Machine) -> Ctx {
    let container = match machine.class {
        Class::Elf32 => Container::Little,
        Class::Elf64 => Container::Big,
    };
    let order = match machine.order {
        ByteOrder::Little => Endian::Little,
        ByteOrder::Big => Endian::Big,
    };
    Ctx::new(container, order)
}

/// The program headers. Those that are loaded are kept in `reader` for [`Reader::locate`].
fn segments(reader: &mut Reader<'_>, header: &Header) -> Result<Vec<ProgramHeader>, ObjectError> {
    const WHAT: &str = "program headers";
    let count = usize::from(header.e_phnum);
    let size = u64::from(header.e_phnum) * program_header_size(reader.machine);
    if size > MAX_PROGRAM_HEADERS {
        return Err(reader.malformed(format!(
            "its {count} program headers are more than the kernel takes ({} KiB of them)",
            MAX_PROGRAM_HEADERS >> 10
        )));
    }
    let bytes = reader.bytes(header.e_phoff, size, WHAT)?;
    let segments = ProgramHeader::parse(&bytes, 0, count, context(reader.machine))
        .map_err(|_| reader.truncated(WHAT, header.e_phoff, size))?;
    for segment in segments.iter().filter(|segment| segment.p_type == PT_LOAD) {
        let (offset, size) = (segment.p_offset, segment.p_filesz);
        let end = offset.saturating_add(size);
        if end > reader.pages.size().next_multiple_of(PAGE) {
            return Err(reader.truncated("loadable segment (PT_LOAD)", offset, size));
        }
        reader.loads.push(Load {
            address: segment.p_vaddr,
            offset,
            size,
        });
    }
    Ok(segments)
}

/// Tag and value of the entries of the dynamic section, without the `DT_NULL` at its end.
fn dynamic_entries(
    reader: &mut Reader<'_>,
    segments: &[ProgramHeader],
) -> Result<Vec<(u64, u64)>, ObjectError> {
    const WHAT: &str = "dynamic section (PT_DYNAMIC)";
    // As in the loaders, the last one counts, and its address rather than its offset.
    let is_dynamic = |segment: &&ProgramHeader| segment.p_type == PT_DYNAMIC;
    let Some(segment) = segments.iter().rev().find(is_dynamic) else {
        return Ok(Vec::new());
    };
    let offset = match reader.locate(segment.p_vaddr) {
        Some((offset, _)) => offset,
        None => segment.p_offset,
    };
    let size = segment.p_filesz;
    if size > MAX_DYNAMIC {
        return Err(reader.malformed(format!(
            "its {WHAT} has {size} bytes, more than {} MiB",
            MAX_DYNAMIC >> 20
        )));
    }
    let bytes = reader.bytes(offset, size, WHAT)?;
    // goblin reads it out of the whole file: these bytes are the whole file to it.
    let alone = ProgramHeader {
        p_offset: 0,
        ..segment.clone()
    };
    let dynamic = Dynamic::parse(&bytes, &[alone], context(reader.machine))
        .map_err(|_| reader.truncated(WHAT, offset, size))?;
    let entries = dynamic.map(|dynamic| dynamic.dyns).unwrap_or_default();
    Ok(entries
        .iter()
        .map(|entry| (entry.d_tag, entry.d_val))
        .take_while(|(tag, _)| *tag != 0)
        .collect())
}

#[cfg(test)]
mod tests;
