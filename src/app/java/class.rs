//! Class files (JVMS 4): their version, their name, and what their constants tell of.

/// The first bytes of a class file.
pub(super) const MAGIC: [u8; 4] = [0xca, 0xfe, 0xba, 0xbe];
/// The class-file version of Java 1.1 is 45, that of Java N is N + 44.
const FIRST_VERSION: u16 = 44;
const ACC_PUBLIC_STATIC: u16 = 0x0009;

/// The facts of a class.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Class<'a> {
    /// `major_version`.
    pub(super) major: u16,
    /// Its name with slashes.
    pub(super) name: &'a [u8],
    /// Whether `java` could start it: it has `public static void main(String[])`.
    pub(super) is_main: bool,
    /// The classes that it names, with slashes; arrays as descriptors.
    pub(super) classes: Vec<&'a [u8]>,
    /// Its string constants.
    pub(super) strings: Vec<&'a [u8]>,
    /// Methods and fields that it uses: class, name.
    pub(super) members: Vec<(&'a [u8], &'a [u8])>,
}

/// The Java version that a class-file version belongs to.
pub(super) fn feature(major: u16) -> u16 {
    major.saturating_sub(FIRST_VERSION)
}

/// The class-file version of a Java version.
pub(super) fn major(feature: u16) -> u16 {
    feature.saturating_add(FIRST_VERSION)
}

/// `major_version` of what starts like a class file; Mach-O files for several machines have the
/// same magic, and the number of machines where the version is.
pub(super) fn version(head: &[u8]) -> Option<u16> {
    let rest = head.strip_prefix(&MAGIC)?;
    let (_, rest) = rest.split_first_chunk::<2>()?;
    let (major, _) = rest.split_first_chunk::<2>()?;
    Some(u16::from_be_bytes(*major)).filter(|major| *major > FIRST_VERSION)
}

/// One constant, as far as it matters here.
enum Constant<'a> {
    Utf8(&'a [u8]),
    Class(u16),
    Text(u16),
    Member { class: u16, name_and_type: u16 },
    NameAndType { name: u16 },
    Other,
}

/// Reads a class file; `None` when it is none, or damaged.
pub(super) fn parse(bytes: &[u8]) -> Option<Class<'_>> {
    let major = version(bytes)?;
    let mut reader = Reader(bytes.get(8..)?);
    let constants = constants(&mut reader)?;
    let pool = Pool(&constants);
    let _access = reader.u16()?;
    let name = pool.class(reader.u16()?)?;
    let _super = reader.u16()?;
    let interfaces = reader.u16()?;
    reader.take(usize::from(interfaces) * 2)?;
    reader.skip_members()?;
    let is_main = reader.has_main(&pool)?;
    Some(Class {
        major,
        name,
        is_main,
        classes: pool.classes(),
        strings: pool.strings(),
        members: pool.members(),
    })
}

fn constants<'a>(reader: &mut Reader<'a>) -> Option<Vec<Constant<'a>>> {
    let count = reader.u16()?;
    let mut constants = vec![Constant::Other];
    while constants.len() < usize::from(count) {
        let constant = match reader.u8()? {
            1 => {
                let length = reader.u16()?;
                Constant::Utf8(reader.take(usize::from(length))?)
            }
            3 | 4 | 17 | 18 => reader.other(4)?,
            5 | 6 => {
                // Eight bytes take two numbers: "a poor choice", says JVMS 4.4.5.
                constants.push(Constant::Other);
                reader.other(8)?
            }
            7 => Constant::Class(reader.u16()?),
            8 => Constant::Text(reader.u16()?),
            9..=11 => Constant::Member {
                class: reader.u16()?,
                name_and_type: reader.u16()?,
            },
            12 => {
                let name = reader.u16()?;
                reader.u16()?;
                Constant::NameAndType { name }
            }
            15 => reader.other(3)?,
            16 | 19 | 20 => reader.other(2)?,
            _ => return None,
        };
        constants.push(constant);
    }
    Some(constants)
}

struct Pool<'p, 'a>(&'p [Constant<'a>]);

impl<'a> Pool<'_, 'a> {
    fn get(&self, index: u16) -> Option<&Constant<'a>> {
        self.0.get(usize::from(index))
    }

    fn utf8(&self, index: u16) -> Option<&'a [u8]> {
        match self.get(index)? {
            Constant::Utf8(bytes) => Some(bytes),
            _ => None,
        }
    }

    fn class(&self, index: u16) -> Option<&'a [u8]> {
        match self.get(index)? {
            Constant::Class(name) => self.utf8(*name),
            _ => None,
        }
    }

    fn classes(&self) -> Vec<&'a [u8]> {
        let each = self.0.iter().filter_map(|constant| match constant {
            Constant::Class(name) => self.utf8(*name),
            _ => None,
        });
        each.collect()
    }

    fn strings(&self) -> Vec<&'a [u8]> {
        let each = self.0.iter().filter_map(|constant| match constant {
            Constant::Text(text) => self.utf8(*text),
            _ => None,
        });
        each.collect()
    }

    fn members(&self) -> Vec<(&'a [u8], &'a [u8])> {
        let each = self.0.iter().filter_map(|constant| {
            let Constant::Member {
                class,
                name_and_type,
            } = constant
            else {
                return None;
            };
            let Constant::NameAndType { name } = self.get(*name_and_type)? else {
                return None;
            };
            Some((self.class(*class)?, self.utf8(*name)?))
        });
        each.collect()
    }
}

/// Numbers are big-endian.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2)?.try_into().ok().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_be_bytes)
    }

    fn other(&mut self, count: usize) -> Option<Constant<'a>> {
        self.take(count).map(|_| Constant::Other)
    }

    /// `method_info` and `field_info` have one shape: access, name, descriptor, attributes.
    fn member(&mut self) -> Option<(u16, u16, u16)> {
        let member = (self.u16()?, self.u16()?, self.u16()?);
        for _ in 0..self.u16()? {
            self.u16()?;
            let length = self.u32()?;
            self.take(usize::try_from(length).ok()?)?;
        }
        Some(member)
    }

    fn skip_members(&mut self) -> Option<()> {
        for _ in 0..self.u16()? {
            self.member()?;
        }
        Some(())
    }

    fn has_main(&mut self, pool: &Pool<'_, '_>) -> Option<bool> {
        let mut found = false;
        for _ in 0..self.u16()? {
            let (access, name, descriptor) = self.member()?;
            found |= access & ACC_PUBLIC_STATIC == ACC_PUBLIC_STATIC
                && pool.utf8(name) == Some(b"main")
                && pool.utf8(descriptor) == Some(b"([Ljava/lang/String;)V");
        }
        Some(found)
    }
}

/// A class file that names the classes in `names` (with slashes) and does nothing: for tools
/// that tell which module a class is in. Names past what a class can hold are left out.
pub(super) fn naming(name: &str, names: &[&str]) -> Vec<u8> {
    // Each takes two numbers of the constant pool, and the class itself and its parent four.
    const MOST: usize = (u16::MAX as usize - 5) / 2;
    let all: Vec<&[u8]> = [name, "java/lang/Object"]
        .iter()
        .chain(names.iter().take(MOST))
        .map(|name| name.as_bytes())
        .filter(|name| u16::try_from(name.len()).is_ok())
        .collect();
    let mut class = MAGIC.to_vec();
    let mut number = |value: usize| class.extend_from_slice(&(value as u16).to_be_bytes());
    number(0);
    number(usize::from(major(8)));
    number(all.len() * 2 + 1);
    for (index, name) in all.iter().enumerate() {
        class.push(7);
        class.extend_from_slice(&((index * 2 + 2) as u16).to_be_bytes());
        class.push(1);
        class.extend_from_slice(&(name.len() as u16).to_be_bytes());
        class.extend_from_slice(name);
    }
    // Public, with `super` semantics; itself, its parent; no interfaces, fields, methods,
    // attributes.
    for value in [0x0021, 1, 3, 0, 0, 0, 0_u16] {
        class.extend_from_slice(&value.to_be_bytes());
    }
    class
}

#[cfg(test)]
pub(super) mod fixture {
    //! Classes made by hand.

    /// A class of this version with string constants, named classes, and `main` if wanted.
    pub(in crate::app::java) fn class(
        major: u16,
        name: &str,
        main: bool,
        strings: &[&str],
        classes: &[&str],
    ) -> Vec<u8> {
        let mut pool: Vec<u8> = Vec::new();
        let mut count = 0_u16;
        let utf8 = |pool: &mut Vec<u8>, count: &mut u16, text: &str| {
            pool.push(1);
            pool.extend((text.len() as u16).to_be_bytes());
            pool.extend(text.as_bytes());
            *count += 1;
            *count
        };
        let refer = |pool: &mut Vec<u8>, count: &mut u16, tag: u8, to: u16| {
            pool.push(tag);
            pool.extend(to.to_be_bytes());
            *count += 1;
            *count
        };
        let at = utf8(&mut pool, &mut count, name);
        let this = refer(&mut pool, &mut count, 7, at);
        let at = utf8(&mut pool, &mut count, "java/lang/Object");
        let parent = refer(&mut pool, &mut count, 7, at);
        for (texts, tag) in [(strings, 8), (classes, 7)] {
            for text in texts {
                let at = utf8(&mut pool, &mut count, text);
                refer(&mut pool, &mut count, tag, at);
            }
        }
        // A long takes two numbers.
        pool.push(5);
        pool.extend([0; 8]);
        count += 2;
        let method = utf8(&mut pool, &mut count, "main");
        let descriptor = utf8(&mut pool, &mut count, "([Ljava/lang/String;)V");
        let mut bytes = super::MAGIC.to_vec();
        for value in [0, major, count + 1] {
            bytes.extend(value.to_be_bytes());
        }
        bytes.extend(pool);
        for value in [0x21, this, parent, 0, 0, u16::from(main)] {
            bytes.extend(value.to_be_bytes());
        }
        if main {
            for value in [0x0009, method, descriptor, 0_u16] {
                bytes.extend(value.to_be_bytes());
            }
        }
        bytes.extend([0, 0]);
        bytes
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_constants_of_a_class_tell_what_it_uses() {
        let bytes = fixture::class(
            65,
            "a/Main",
            true,
            &["java.sql.Driver"],
            &["sun/misc/Unsafe"],
        );
        let class = parse(&bytes).unwrap();
        assert_eq!((class.major, feature(class.major)), (65, 21));
        assert_eq!(class.name, b"a/Main");
        assert!(class.is_main);
        assert_eq!(class.strings, [b"java.sql.Driver"]);
        assert!(class.classes.contains(&b"sun/misc/Unsafe".as_slice()));
        let other = fixture::class(52, "a/Other", false, &[], &[]);
        assert!(!parse(&other).unwrap().is_main);
    }

    #[test]
    fn a_class_that_names_others_can_be_read_back() {
        let bytes = naming("Names", &["java/sql/Driver", "sun/misc/Unsafe"]);
        let class = parse(&bytes).unwrap();
        assert_eq!(class.name, b"Names");
        assert_eq!(class.classes.len(), 4);
        let many: Vec<String> = (0..40_000).map(|n| format!("c{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(parse(&naming("Names", &many)).is_some());
    }

    #[test]
    fn a_mach_o_file_for_two_machines_is_no_class() {
        assert_eq!(version(&[0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 2]), None);
        assert_eq!(version(&[0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 61]), Some(61));
    }

    proptest! {
        #[test]
        fn no_bytes_are_a_reason_to_panic(cut in 0..400usize, at in 0..400usize, value: u8) {
            let mut bytes = fixture::class(61, "a/Main", true, &["x", "y"], &["b/C"]);
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
            bytes.truncate(cut);
            let _ = parse(&bytes);
        }
    }
}
