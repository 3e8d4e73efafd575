//! The machine that an object is for, and its names.

use goblin::elf::header::{
    EM_68K, EM_386, EM_AARCH64, EM_ARM, EM_IA_64, EM_LOONGARCH, EM_MIPS, EM_PARISC, EM_PPC,
    EM_PPC64, EM_RISCV, EM_S390, EM_SH, EM_SPARC, EM_SPARC32PLUS, EM_SPARCV9, EM_X86_64,
};

/// The number that Alpha really has; the one that was registered was never used.
const EM_ALPHA: u16 = 0x9026;

/// `EI_CLASS`: the width of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// 32-bit.
    Elf32,
    /// 64-bit.
    Elf64,
}

/// `EI_DATA`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ByteOrder {
    /// Least significant byte first.
    Little,
    /// Most significant byte first.
    Big,
}

/// The instruction set that the object is for: `e_machine`, class, byte order and
/// the `e_flags` that divide one machine into incompatible ABIs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Machine {
    /// `e_machine`.
    pub number: u16,
    /// `EI_CLASS`.
    pub class: Class,
    /// `EI_DATA`.
    pub order: ByteOrder,
    /// `e_flags`.
    pub flags: u32,
}

/// `EF_ARM_ABI_FLOAT_SOFT`: floating-point arguments go in integer registers.
pub(in crate::elf) const ARM_FLOAT_SOFT: u32 = 0x200;
/// `EF_ARM_ABI_FLOAT_HARD`: floating-point arguments go in VFP registers.
pub(in crate::elf) const ARM_FLOAT_HARD: u32 = 0x400;
/// `EF_MIPS_ABI2`: the n32 ABI.
pub(in crate::elf) const MIPS_N32: u32 = 0x20;

impl Machine {
    /// The platform in OCI's words (GOARCH and variant): `("amd64", None)`, `("arm", Some("v7"))`;
    /// `None` for a machine that has no name there.
    ///
    /// The variant of a 32-bit ARM object is told by its float ABI alone, since the exact
    /// architecture stands in a section, and sections may be absent: soft-float is `v5` (the
    /// baseline of Debian's armel), all else `v7` (that of armhf). A hard-float program for ARMv6
    /// (Raspbian) is called `v7` too.
    pub fn platform(&self) -> Option<(&'static str, Option<&'static str>)> {
        use ByteOrder::{Big, Little};
        use Class::{Elf32, Elf64};
        let name = match (self.number, self.class, self.order) {
            // x32 is a 32-bit ABI of the 64-bit kernel.
            (EM_X86_64, _, Little) => "amd64",
            (EM_386, Elf32, Little) => "386",
            (EM_ARM, Elf32, Little) => {
                let soft = self.flags & (ARM_FLOAT_SOFT | ARM_FLOAT_HARD) == ARM_FLOAT_SOFT;
                return Some(("arm", Some(if soft { "v5" } else { "v7" })));
            }
            (EM_ARM, Elf32, Big) => "armbe",
            (EM_AARCH64, Elf64, Little) => "arm64",
            (EM_AARCH64, Elf64, Big) => "arm64be",
            (EM_PPC64, Elf64, Little) => "ppc64le",
            (EM_PPC64, Elf64, Big) => "ppc64",
            (EM_PPC, Elf32, Big) => "ppc",
            (EM_S390, Elf64, Big) => "s390x",
            (EM_S390, Elf32, Big) => "s390",
            (EM_RISCV, Elf64, Little) => "riscv64",
            (EM_RISCV, Elf32, Little) => "riscv",
            (EM_LOONGARCH, Elf64, Little) => "loong64",
            (EM_MIPS, Elf64, Little) => "mips64le",
            (EM_MIPS, Elf64, Big) => "mips64",
            (EM_MIPS, Elf32, Little) if self.flags & MIPS_N32 != 0 => "mips64p32le",
            (EM_MIPS, Elf32, Big) if self.flags & MIPS_N32 != 0 => "mips64p32",
            (EM_MIPS, Elf32, Little) => "mipsle",
            (EM_MIPS, Elf32, Big) => "mips",
            (EM_SPARCV9, Elf64, Big) => "sparc64",
            (EM_SPARC | EM_SPARC32PLUS, Elf32, Big) => "sparc",
            _ => return None,
        };
        Some((name, None))
    }

    /// A name for people: `x86-64`, `AArch64`, `machine 0x1234`.
    pub fn name(&self) -> String {
        let wide = self.class == Class::Elf64;
        let big = self.order == ByteOrder::Big;
        let name = match self.number {
            EM_X86_64 if wide => "x86-64",
            EM_X86_64 => "x86-64 (x32)",
            EM_386 => "i386",
            EM_ARM if big => "ARM (big-endian)",
            EM_ARM if self.flags & ARM_FLOAT_HARD != 0 => "ARM (hard-float)",
            EM_ARM if self.flags & ARM_FLOAT_SOFT != 0 => "ARM (soft-float)",
            EM_ARM => "ARM",
            EM_AARCH64 if big => "AArch64 (big-endian)",
            EM_AARCH64 if wide => "AArch64",
            EM_AARCH64 => "AArch64 (ILP32)",
            EM_PPC64 if big => "PowerPC 64 (big-endian)",
            EM_PPC64 => "PowerPC 64",
            EM_PPC => "PowerPC",
            EM_S390 if wide => "s390x",
            EM_S390 => "s390",
            EM_RISCV if wide => "RISC-V 64",
            EM_RISCV => "RISC-V 32",
            EM_LOONGARCH if wide => "LoongArch64",
            EM_LOONGARCH => "LoongArch32",
            EM_MIPS if wide && big => "MIPS64",
            EM_MIPS if wide => "MIPS64 (little-endian)",
            EM_MIPS if big => "MIPS",
            EM_MIPS => "MIPS (little-endian)",
            EM_SPARCV9 => "SPARC V9",
            EM_SPARC | EM_SPARC32PLUS => "SPARC",
            EM_IA_64 => "Itanium",
            EM_68K => "m68k",
            EM_ALPHA => "Alpha",
            EM_SH => "SuperH",
            EM_PARISC => "PA-RISC",
            number => return format!("machine {number:#x}"),
        };
        name.to_string()
    }
}
