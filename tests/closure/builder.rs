//! Tiny ELF objects of any class, byte order and machine: enough of them for a loader's search.

use std::path::Path;

#[derive(Clone)]
pub struct Elf {
    pub wide: bool,
    pub big: bool,
    pub machine: u16,
    pub interpreter: Option<String>,
    pub entries: Vec<(u64, String)>,
    pub flags_1: u64,
    pub definitions: Vec<String>,
    pub imports: Vec<String>,
    /// The symbols are defined and not imported.
    pub defined: bool,
    pub data: Vec<u8>,
}

impl Elf {
    pub fn new() -> Self {
        Self {
            wide: true,
            big: false,
            machine: 62,
            interpreter: None,
            entries: Vec::new(),
            flags_1: 0,
            definitions: Vec::new(),
            imports: Vec::new(),
            defined: false,
            data: Vec::new(),
        }
    }

    pub fn program(interpreter: &str) -> Self {
        let mut elf = Self::new();
        elf.interpreter = Some(interpreter.to_owned());
        elf
    }

    pub fn library(soname: &str) -> Self {
        Self::new().entry(14, soname)
    }

    /// glibc's loader with these directories, as release 2.`minor`.
    pub fn glibc(minor: u32, directories: &[&str]) -> Self {
        let mut elf = Self::library("ld-linux-x86-64.so.2").defines(&["GLIBC_2.2.5"]);
        elf.data = format!(
            "x\0{}\0\0/etc/ld.so.cache\0glibc-hwcaps\0release version 2.{minor}.\n\0",
            directories.join("\0")
        )
        .into_bytes();
        elf
    }

    pub fn musl() -> Self {
        let mut elf = Self::new();
        elf.data =
            b"x\0musl libc (x86_64)\0%.*s/etc/ld-musl-x86_64.path\0/lib:/usr/local/lib:/usr/lib\0"
                .to_vec();
        elf
    }

    fn entry(mut self, tag: u64, text: &str) -> Self {
        self.entries.push((tag, text.to_owned()));
        self
    }

    pub fn needs(self, name: &str) -> Self {
        self.entry(1, name)
    }

    pub fn rpath(self, path: &str) -> Self {
        self.entry(15, path)
    }

    pub fn runpath(self, path: &str) -> Self {
        self.entry(29, path)
    }

    pub fn defines(mut self, versions: &[&str]) -> Self {
        self.definitions = versions.iter().map(|text| (*text).to_owned()).collect();
        self
    }

    pub fn imports(mut self, name: &str) -> Self {
        self.imports.push(name.to_owned());
        self
    }

    pub fn for_machine(mut self, machine: u16, wide: bool, big: bool) -> Self {
        (self.machine, self.wide, self.big) = (machine, wide, big);
        self
    }

    pub fn write(&self, path: &Path) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, self.bytes()).unwrap();
    }

    fn number(&self, value: u64, bytes: usize) -> Vec<u8> {
        match self.big {
            true => value.to_be_bytes()[8 - bytes..].to_vec(),
            false => value.to_le_bytes()[..bytes].to_vec(),
        }
    }

    fn word(&self) -> usize {
        if self.wide { 8 } else { 4 }
    }

    fn all(&self, numbers: &[(u64, usize)]) -> Vec<u8> {
        numbers
            .iter()
            .flat_map(|(value, bytes)| self.number(*value, *bytes))
            .collect()
    }

    /// Everything lies in one segment at address 0, so that addresses are offsets.
    pub fn bytes(&self) -> Vec<u8> {
        let (header, entry, symbol) = if self.wide {
            (64, 56, 24)
        } else {
            (52, 32, 16)
        };
        let mut strings = vec![0];
        let mut string = |text: &str| {
            let at = strings.len() as u64;
            strings.extend_from_slice(text.as_bytes());
            strings.push(0);
            at
        };
        let mut dynamic: Vec<(u64, u64)> = self
            .entries
            .iter()
            .map(|(tag, text)| (*tag, string(text)))
            .collect();
        let mut symbols = vec![0; symbol];
        for name in &self.imports {
            let mut one = self.number(string(name), 4);
            one.resize(symbol, 0);
            // The section's index, at the end of a narrow symbol.
            one[if self.wide { 6 } else { 14 }] = u8::from(self.defined);
            symbols.extend(one);
        }
        let mut definitions = Vec::new();
        for (at, version) in self.definitions.iter().enumerate() {
            let last = at + 1 == self.definitions.len();
            let next = if last { 0 } else { 28 };
            let hash = version.bytes().fold(0_u64, |hash, byte| {
                let hash = (hash << 4) + u64::from(byte);
                let high = hash & 0xf000_0000;
                (hash ^ (high >> 24)) & !high
            });
            let number = at as u64 + 1;
            definitions.extend(self.all(&[
                (1, 2),
                (0, 2),
                (number, 2),
                (1, 2),
                (hash, 4),
                (20, 4),
                (next, 4),
                (string(version), 4),
                (0, 4),
            ]));
        }
        let hash = self.all(&[(0, 4), (symbols.len() as u64 / symbol as u64, 4)]);

        let count = 2 + usize::from(self.interpreter.is_some());
        let mut body: Vec<u8> = Vec::new();
        let start = header + count * entry;
        let mut place = |bytes: &[u8]| {
            body.resize(body.len().next_multiple_of(8), 0);
            let at = start.next_multiple_of(8) + body.len();
            body.extend_from_slice(bytes);
            at as u64
        };
        let interpreter = self
            .interpreter
            .as_ref()
            .map(|path| (place(format!("{path}\0").as_bytes()), path.len() as u64 + 1));
        dynamic.push((10, strings.len() as u64));
        dynamic.push((5, place(&strings)));
        dynamic.push((6, place(&symbols)));
        dynamic.push((4, place(&hash)));
        if !self.definitions.is_empty() {
            dynamic.push((0x6fff_fffc, place(&definitions)));
            dynamic.push((0x6fff_fffd, self.definitions.len() as u64));
        }
        if self.flags_1 != 0 {
            dynamic.push((0x6fff_fffb, self.flags_1));
        }
        dynamic.push((0, 0));
        let table: Vec<u8> = dynamic
            .iter()
            .flat_map(|(tag, value)| self.all(&[(*tag, self.word()), (*value, self.word())]))
            .collect();
        let dynamic = (place(&table), table.len() as u64);
        place(&self.data);
        let whole = (start.next_multiple_of(8) + body.len()) as u64;

        let word = self.word();
        let mut file = b"\x7fELF".to_vec();
        file.extend([1 + u8::from(self.wide), 1 + u8::from(self.big), 1]);
        file.resize(16, 0);
        file.extend(self.all(&[
            (3, 2),
            (self.machine.into(), 2),
            (1, 4),
            (0, word),
            (header as u64, word),
            (0, word),
            (0, 4),
            (header as u64, 2),
            (entry as u64, 2),
            (count as u64, 2),
            (0, 6),
        ]));
        let mut segment = |kind: u64, (offset, size): (u64, u64)| {
            let fields = match self.wide {
                true => self.all(&[
                    (kind, 4),
                    (4, 4),
                    (offset, 8),
                    (offset, 8),
                    (offset, 8),
                    (size, 8),
                    (size, 8),
                    (8, 8),
                ]),
                false => self.all(&[
                    (kind, 4),
                    (offset, 4),
                    (offset, 4),
                    (offset, 4),
                    (size, 4),
                    (size, 4),
                    (4, 4),
                    (4, 4),
                ]),
            };
            file.extend(fields);
        };
        segment(1, (0, whole));
        segment(2, dynamic);
        if let Some(interpreter) = interpreter {
            segment(3, interpreter);
        }
        file.resize(start.next_multiple_of(8), 0);
        file.extend(body);
        file
    }
}
