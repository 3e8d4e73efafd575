//! `--base`: what an image starts from.

mod image;
#[cfg(feature = "debian")]
mod packages;

use super::Usage;
use super::args::{BaseArguments, Build};
use super::images::Images;
use super::terminal::Terminal;
use crate::build::{Builder, Plan};
use crate::rootfs::{Base, BaseError};

#[cfg(feature = "debian")]
pub(super) use packages::{Downloads, counted, options, tell_notices, this_machine};

/// A single word that is no base of data may have been meant as an image.
fn unknown(name: &str, error: &BaseError) -> Usage {
    let image = match name.rsplit_once('.') {
        Some((_, "tar" | "oci")) => format!("an image on disk is meant? {name} does not exist"),
        _ => format!("an image in a registry is named as docker://{name}"),
    };
    Usage(format!("{error}; {image}"))
}

/// What a build starts from.
pub(super) enum Ground {
    /// A base of data: its name or its file.
    Data(String),
    /// A base of packages.
    #[cfg(feature = "debian")]
    Packages(Box<crate::debian::Supply>),
    /// An image.
    Image(Box<image::Image>),
}

impl Ground {
    /// The base that the arguments name. What they say of packages counts only where the base is
    /// one of packages; unless `keep`, neither packages nor images are taken from the cache or
    /// put there.
    pub(super) fn of(
        arguments: &BaseArguments,
        app: &std::path::Path,
        platform: Option<&crate::image::Platform>,
        keep: bool,
        images: &Images,
        terminal: &Terminal,
    ) -> anyhow::Result<Self> {
        let name = &arguments.base;
        #[cfg(feature = "debian")]
        {
            if packages::are_meant(name)? {
                let supply = packages::supply(arguments, app, platform, keep, terminal)?;
                return Ok(Self::Packages(Box::new(supply)));
            }
            packages::refuse_for_others(arguments).map_err(Usage::of)?;
        }
        #[cfg(not(feature = "debian"))]
        if let Some((distribution, rest)) = name.split_once(':')
            && !distribution.contains('/')
            && rest.contains('/')
            && !rest.starts_with('/')
        {
            return Err(Usage(format!(
                "--base {name}: this distrobuild was built without bases from packages (its feature \"debian\")"
            ))
            .into());
        }
        if image::is_meant(name) {
            let image = image::Image::open(name, app, platform, keep, images, terminal)?;
            return Ok(Self::Image(Box::new(image)));
        }
        Ok(Self::Data(name.clone()))
    }

    /// Gives `builder` the base where that is one of data: there is nothing to it.
    pub(super) fn lay_data(&self, builder: &mut Builder) -> anyhow::Result<()> {
        match self {
            // A directory that happens to be called as a base of data is not meant.
            Self::Data(name)
                if name.contains(['/', '.']) && std::path::Path::new(name).is_dir() =>
            {
                return Err(Usage(format!(
                    "--base {name}: this directory is no OCI layout, as there is no file oci-layout in it; a layout, an archive or a file that ends in .toml is expected"
                ))
                .into());
            }
            Self::Data(name) if name.contains('/') || name.ends_with(".toml") => {
                builder.base = Base::load(name.as_ref())?;
            }
            Self::Data(name) => {
                builder.base = Base::named(name).map_err(|error| unknown(name, &error))?
            }
            #[cfg(feature = "debian")]
            Self::Packages(_) => {}
            Self::Image(image) => builder.base = image.base().clone(),
        }
        Ok(())
    }

    /// Gives `builder` the base where that is a system, in which all is looked up.
    pub(super) fn lay_system(
        &mut self,
        builder: &mut Builder,
        terminal: &Terminal,
    ) -> anyhow::Result<()> {
        match self {
            Self::Data(_) => {
                let _ = (builder, terminal);
            }
            Self::Image(image) => builder.base = image.base().clone(),
            #[cfg(feature = "debian")]
            Self::Packages(supply) => {
                let downloads = Downloads::new(terminal);
                let laid = supply.lay(builder, &downloads);
                packages::tell_notices(supply.session(), terminal);
                for notice in laid? {
                    terminal.warn(&notice);
                }
            }
        }
        Ok(())
    }

    /// Says which packages hold the libraries that are missing in the closure of the app.
    pub(super) fn tell_missing(&self, names: &[String], terminal: &Terminal) {
        match self {
            Self::Data(_) | Self::Image(_) => {
                let _ = (names, terminal);
            }
            #[cfg(feature = "debian")]
            Self::Packages(supply) => {
                let downloads = Downloads::new(terminal);
                let found = supply
                    .session()
                    .packages_with(supply.request(), names, &downloads);
                terminal.warn(&match found {
                    Ok(libraries) => {
                        let unfound = crate::debian::Unfound { libraries };
                        format!("the base lacks what the app needs:\n{unfound}")
                    }
                    Err(why) => format!(
                        "the base lacks what the app needs; which packages hold it cannot be told: {why}"
                    ),
                });
            }
        }
    }

    /// Plans the image.
    pub(super) fn plan(
        &mut self,
        builder: &mut Builder,
        arguments: &Build,
        terminal: &Terminal,
    ) -> anyhow::Result<Plan> {
        match self {
            Self::Data(_) => {
                let _ = arguments;
                Ok(terminal.timed("plan", || builder.plan())?)
            }
            Self::Image(image) => {
                image.tell(terminal);
                Ok(terminal.timed("plan", || builder.plan())?)
            }
            #[cfg(feature = "debian")]
            Self::Packages(supply) => {
                let missing = match arguments.add_missing {
                    true => crate::debian::Missing::Add,
                    false => crate::debian::Missing::Name,
                };
                let downloads = Downloads::new(terminal);
                let plan = terminal.timed("plan", || supply.plan(builder, missing, &downloads));
                // What was met on the way may be why it failed.
                packages::tell_notices(supply.session(), terminal);
                let plan = plan?;
                packages::tell(supply, terminal);
                Ok(plan)
            }
        }
    }
}
