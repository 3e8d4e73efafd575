//! Which modules of Java an app needs beside those that `jdeps` sees: what is looked up by name at
//! run time leaves its traces among the constants of classes.

use std::collections::{BTreeMap, BTreeSet};

use super::class::Class;
use super::class_path::Part;

/// How many names of classes in strings are kept.
const MAX_NAMES: usize = 10_000;

/// What the classes of an app use, as far as it says something about modules.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Evidence {
    /// The first class for each rule that applies, by the rule's number.
    clues: BTreeMap<usize, String>,
    /// Classes of Java that are named in strings, with slashes.
    reflected: BTreeSet<String>,
    graphics: Graphics,
    /// A class that draws text.
    fonts: Option<String>,
}

/// How much of `java.desktop` is used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Graphics {
    /// Nothing that has native code: `java.beans` at most.
    #[default]
    None,
    /// Images and fonts without a screen.
    Headless,
    /// Windows and sound.
    Display,
}

/// What needs a module.
struct Rule {
    module: &'static str,
    /// The Java version from which on the module is not needed for it.
    until: u16,
    /// Whether only the app's own classes count.
    own: bool,
    clue: Clue,
    /// Why, behind the name of the class.
    why: &'static str,
}

enum Clue {
    /// A class whose name starts so is used.
    Class(&'static [&'static str]),
    /// A member of a class is used.
    Member(&'static str, &'static [&'static str]),
    /// A string, whatever its case.
    Text(&'static [&'static str]),
    /// A string that starts so.
    TextStart(&'static [&'static str]),
}

const ALWAYS: u16 = u16::MAX;

const RULES: &[Rule] = &[
    Rule {
        module: "jdk.crypto.ec",
        // The provider is a part of java.base from 22 on (JDK-8308398).
        until: 22,
        own: false,
        clue: Clue::Class(&[
            "javax/net/ssl/",
            "java/net/http/",
            "java/net/URLConnection",
            "java/net/HttpURLConnection",
            "java/security/KeyFactory",
            "java/security/KeyPairGenerator",
            "java/security/Signature",
            "javax/crypto/KeyAgreement",
        ]),
        why: "uses TLS or signatures, which need elliptic curves",
    },
    Rule {
        module: "jdk.crypto.ec",
        until: 22,
        own: false,
        clue: Clue::Member("java/net/URL", &["openConnection", "openStream"]),
        why: "opens URLs, and TLS needs elliptic curves",
    },
    Rule {
        module: "jdk.zipfs",
        until: ALWAYS,
        own: false,
        clue: Clue::Member("java/nio/file/FileSystems", &["newFileSystem"]),
        why: "opens file systems, such as those in jars",
    },
    Rule {
        module: "jdk.localedata",
        until: ALWAYS,
        own: true,
        clue: Clue::Member(
            "java/util/Locale",
            &[
                "<init>",
                "CANADA_FRENCH",
                "CHINA",
                "CHINESE",
                "FRANCE",
                "FRENCH",
                "GERMAN",
                "GERMANY",
                "ITALIAN",
                "ITALY",
                "JAPAN",
                "JAPANESE",
                "KOREA",
                "KOREAN",
                "PRC",
                "SIMPLIFIED_CHINESE",
                "TAIWAN",
                "TRADITIONAL_CHINESE",
                "forLanguageTag",
                "of",
            ],
        ),
        why: "uses locales other than English",
    },
    Rule {
        module: "jdk.charsets",
        until: ALWAYS,
        own: false,
        clue: Clue::Text(&[
            "big5",
            "big5-hkscs",
            "cp1047",
            "cp037",
            "euc-jp",
            "euc-kr",
            "euc_jp",
            "euc_kr",
            "ibm037",
            "ibm1047",
            "iso-2022-jp",
            "iso-2022-kr",
            "shift_jis",
            "sjis",
            "tis-620",
            "windows-31j",
            "x-windows-949",
        ]),
        why: "names a charset of that module",
    },
    Rule {
        module: "java.naming",
        until: ALWAYS,
        own: false,
        clue: Clue::TextStart(&["java:comp/", "java:/comp/"]),
        why: "looks names up",
    },
    Rule {
        module: "jdk.naming.dns",
        until: ALWAYS,
        own: false,
        clue: Clue::TextStart(&["com.sun.jndi.dns."]),
        why: "looks names up in the DNS through JNDI",
    },
    Rule {
        module: "jdk.security.jgss",
        until: ALWAYS,
        own: false,
        clue: Clue::Text(&["gssapi"]),
        why: "logs in through GSSAPI",
    },
    Rule {
        module: "jdk.security.auth",
        until: ALWAYS,
        own: false,
        clue: Clue::TextStart(&["com.sun.security.auth."]),
        why: "names a login module",
    },
    Rule {
        module: "jdk.management",
        until: ALWAYS,
        own: false,
        clue: Clue::TextStart(&["com.sun.management."]),
        why: "asks for the memory and processor time of the process",
    },
    Rule {
        module: "jdk.unsupported",
        until: ALWAYS,
        own: false,
        clue: Clue::TextStart(&["sun.misc.Unsafe"]),
        why: "looks sun.misc.Unsafe up by its name",
    },
];

/// Modules that options of `java` need.
const OPTIONS: &[(&str, &str)] = &[
    ("-agentlib:jdwp", "jdk.jdwp.agent"),
    ("-Xrunjdwp", "jdk.jdwp.agent"),
    ("-javaagent:", "java.instrument"),
    ("-XX:StartFlightRecording", "jdk.jfr"),
    ("-Dcom.sun.management.", "jdk.management.agent"),
];

impl Evidence {
    /// Takes note of what a class uses.
    pub(super) fn look_at(&mut self, class: &Class<'_>, part: Part) {
        let name = || String::from_utf8_lossy(class.name).replace('/', ".");
        for (number, rule) in RULES.iter().enumerate() {
            if !self.clues.contains_key(&number)
                && (!rule.own || part == Part::App)
                && rule.clue.is_in(class)
            {
                self.clues.insert(number, name());
            }
        }
        for used in &class.classes {
            self.graphics = self.graphics.max(graphics(used));
            if self.fonts.is_none() && FONTS.iter().any(|start| used.starts_with(start)) {
                self.fonts = Some(name());
            }
        }
        for text in &class.strings {
            if self.reflected.len() < MAX_NAMES
                && let Some(class) = reflected(text)
            {
                self.reflected.insert(class);
            }
        }
    }

    /// Classes of Java that are named in strings, with slashes: `Class.forName` may ask for them.
    pub(super) fn reflected(&self) -> Vec<&str> {
        self.reflected.iter().map(String::as_str).collect()
    }

    /// The modules that an app with these options of `java` needs on Java `feature`, and why.
    pub(super) fn modules(&self, feature: u16, options: &[String]) -> BTreeMap<String, String> {
        let mut modules = BTreeMap::new();
        for (number, class) in &self.clues {
            if let Some(rule) = RULES.get(*number).filter(|rule| feature < rule.until) {
                modules
                    .entry(rule.module.to_owned())
                    .or_insert_with(|| format!("{class} {}", rule.why));
            }
        }
        for (start, module) in OPTIONS {
            if let Some(option) = options.iter().find(|option| option.starts_with(start)) {
                modules
                    .entry((*module).to_owned())
                    .or_insert_with(|| format!("the option {option} needs it"));
            }
        }
        modules
    }

    /// How much of `java.desktop` is used.
    pub(super) fn graphics(&self) -> Graphics {
        self.graphics
    }

    /// A class that draws text.
    pub(super) fn fonts(&self) -> Option<&str> {
        self.fonts.as_deref()
    }
}

impl Clue {
    fn is_in(&self, class: &Class<'_>) -> bool {
        let starts = |text: &&[u8], starts: &[&str]| {
            starts
                .iter()
                .any(|start| text.starts_with(start.as_bytes()))
        };
        match self {
            Self::Class(names) => class.classes.iter().any(|name| starts(name, names)),
            Self::Member(of, names) => class.members.iter().any(|(class, name)| {
                *class == of.as_bytes() && names.iter().any(|wanted| wanted.as_bytes() == *name)
            }),
            Self::Text(texts) => class.strings.iter().any(|text| {
                texts
                    .iter()
                    .any(|wanted| text.eq_ignore_ascii_case(wanted.as_bytes()))
            }),
            Self::TextStart(texts) => class.strings.iter().any(|text| starts(text, texts)),
        }
    }
}

const FONTS: [&[u8]; 5] = [
    b"java/awt/Font",
    b"java/awt/Graphics",
    b"java/awt/font/",
    b"javax/print/",
    b"javax/swing/",
];

/// How much of `java.desktop` a class of this name stands for.
fn graphics(class: &[u8]) -> Graphics {
    const DISPLAY: [&[u8]; 8] = [
        b"javax/swing/",
        b"javax/sound/",
        b"java/awt/Dialog",
        b"java/awt/Frame",
        b"java/awt/Robot",
        b"java/awt/SplashScreen",
        b"java/awt/SystemTray",
        b"java/awt/Window",
    ];
    const HEADLESS: [&[u8]; 4] = [
        b"java/awt/",
        b"javax/imageio/",
        b"javax/print/",
        b"sun/awt/",
    ];
    let any = |starts: &[&[u8]]| starts.iter().any(|start| class.starts_with(start));
    match () {
        () if any(&DISPLAY) => Graphics::Display,
        () if any(&HEADLESS) => Graphics::Headless,
        () => Graphics::None,
    }
}

/// The class that a string names, with slashes, if it can be one of a module that is worth
/// adding for that: not `java.base`, which is always there, and not the large ones that programs
/// name only to adapt to them.
fn reflected(text: &[u8]) -> Option<String> {
    const LIKELY: [&str; 9] = [
        "java.",
        "javax.",
        "jdk.",
        "com.sun.",
        "sun.",
        "org.ietf.jgss.",
        "org.w3c.dom.",
        "org.xml.sax.",
        "netscape.javascript.",
    ];
    const UNLIKELY: [&str; 11] = [
        "com.sun.tools.",
        "java.applet.",
        "java.awt.",
        "java.beans.",
        "java.lang.",
        "java.util.",
        "javax.accessibility.",
        "javax.swing.",
        "javax.tools.",
        "jdk.jshell.",
        "sun.awt.",
    ];
    // `java.lang` and `java.util` have parts in other modules.
    const PARTS: [&str; 3] = [
        "java.lang.management.",
        "java.lang.instrument.",
        "java.util.logging.",
    ];
    let text = std::str::from_utf8(text)
        .ok()
        .filter(|text| text.len() < 256)?;
    let any = |starts: &[&str]| starts.iter().any(|start| text.starts_with(start));
    let likely = any(&PARTS) || (any(&LIKELY) && !any(&UNLIKELY));
    let last = text.rsplit('.').next()?;
    let named = last.starts_with(|char: char| char.is_ascii_uppercase())
        && text
            .chars()
            .all(|char| char.is_ascii_alphanumeric() || matches!(char, '.' | '_' | '$'));
    (likely && named).then(|| text.replace('.', "/"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::super::class::{fixture, parse};
    use super::*;

    fn evidence(strings: &[&str], classes: &[&str], part: Part) -> Evidence {
        let bytes = fixture::class(61, "a/Main", true, strings, classes);
        let mut evidence = Evidence::default();
        evidence.look_at(&parse(&bytes).unwrap(), part);
        evidence
    }

    #[test]
    fn tls_needs_elliptic_curves_until_they_are_in_java_base() {
        let evidence = evidence(&[], &["javax/net/ssl/SSLContext"], Part::Package);
        let modules = evidence.modules(17, &[]);
        assert_eq!(
            modules["jdk.crypto.ec"],
            "a.Main uses TLS or signatures, which need elliptic curves"
        );
        assert!(evidence.modules(22, &[]).is_empty());
    }

    #[test]
    fn a_charset_is_known_whatever_its_case() {
        let evidence = evidence(&["Shift_JIS"], &[], Part::Package);
        assert!(evidence.modules(21, &[]).contains_key("jdk.charsets"));
    }

    #[test]
    fn a_class_that_a_string_names_may_be_asked_for() {
        let evidence = evidence(
            &[
                "java.sql.Driver",
                "java.lang.management.ManagementFactory",
                "java.lang.String",
                "java.awt.Image",
                "java.io.tmpdir",
                "java.sql.Driver is missing",
                "com.example.Thing",
            ],
            &[],
            Part::App,
        );
        assert_eq!(
            evidence.reflected(),
            ["java/lang/management/ManagementFactory", "java/sql/Driver"]
        );
    }

    #[test]
    fn beans_are_no_graphics() {
        for (class, expected) in [
            ("java/beans/Introspector", Graphics::None),
            ("java/awt/image/BufferedImage", Graphics::Headless),
            ("javax/swing/JFrame", Graphics::Display),
        ] {
            assert_eq!(evidence(&[], &[class], Part::App).graphics(), expected);
        }
    }

    #[test]
    fn options_of_java_need_modules_too() {
        let evidence = Evidence::default();
        let options = ["-javaagent:/app/a.jar".to_owned()];
        assert_eq!(
            evidence.modules(21, &options)["java.instrument"],
            "the option -javaagent:/app/a.jar needs it"
        );
    }
}
