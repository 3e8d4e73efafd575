//! The arguments of the commands for bases and for the cache.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

#[cfg(feature = "debian")]
use super::Archives;
use super::RegistryArguments;
#[cfg(feature = "debian")]
use crate::debian::{Architecture, LOCK_FILE, Reference};
use crate::report::Budget;

#[derive(Debug, Args)]
pub(in crate::cli) struct BasesArguments {
    #[command(subcommand)]
    pub(in crate::cli) action: Option<BasesAction>,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum BasesAction {
    /// List the bases that there are (the default)
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show the packages of a base, why each is there, and what is left out
    #[cfg(feature = "debian")]
    Show {
        /// The base, as debian:bookworm/cc
        #[arg(value_name = "BASE")]
        base: Reference,
        /// Package to add to it (repeatable)
        #[arg(long, value_name = "NAME[=VERSION]")]
        package: Vec<String>,
        /// Architecture of the packages [default: this machine's]
        #[arg(long, value_name = "ARCH")]
        arch: Option<Architecture>,
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        archives: Archives,
    },
    /// Ask the registries what the slim bases of the recorded table weigh today, and rewrite it
    RefreshSlim {
        /// The table
        #[arg(value_name = "FILE", default_value = "bases/slim.json", value_hint = ValueHint::FilePath)]
        file: PathBuf,
        /// Only these rows, as python:3.12-slim; one that the table lacks is added (repeatable)
        #[arg(long, value_name = "REF")]
        only: Vec<String>,
        /// Fetch the layers too, and record the unpacked sizes
        #[arg(long)]
        unpacked: bool,
        /// Show what would change, and write nothing
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        registry: RegistryArguments,
    },
    /// Write the packages of bases, as they are today, into a lock file
    #[cfg(feature = "debian")]
    Lock {
        /// The bases, as debian:bookworm/cc
        #[arg(value_name = "BASE", required = true)]
        base: Vec<Reference>,
        /// Package to add to each (repeatable)
        #[arg(long, value_name = "NAME[=VERSION]")]
        package: Vec<String>,
        /// Architecture of the packages [default: this machine's] (repeatable)
        #[arg(long, value_name = "ARCH")]
        arch: Vec<Architecture>,
        /// The lock file; what it holds of other bases stays
        #[arg(long, value_name = "FILE", default_value = LOCK_FILE, value_hint = ValueHint::FilePath)]
        lock: PathBuf,
        #[command(flatten)]
        archives: Archives,
    },
    /// Renew a lock file with the packages of today, and show what changes
    #[cfg(feature = "debian")]
    Update {
        /// The bases to renew [default: all that the lock file has]
        #[arg(value_name = "BASE")]
        base: Vec<Reference>,
        /// The lock file
        #[arg(long, value_name = "FILE", default_value = LOCK_FILE, value_hint = ValueHint::FilePath)]
        lock: PathBuf,
        /// Show what would change, and write nothing
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        archives: Archives,
    },
}

#[derive(Debug, Args)]
pub(in crate::cli) struct CacheArguments {
    #[command(subcommand)]
    pub(in crate::cli) action: Option<CacheAction>,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum CacheAction {
    /// Show where the cache is and what it holds (the default)
    Show,
    /// Remove what was not used for longest, down to a size
    Prune {
        /// The size to keep
        #[arg(long, value_name = "SIZE", default_value = "1GB")]
        keep: Budget,
    },
    /// Remove everything
    Clear,
}
