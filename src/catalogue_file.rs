//! Reads catalogue files: those compiled in, and those of a directory of the operator's.
//!
//! One file describes the models of one lab or one provider:
//!
//! ```toml
//! [defaults]                       # any key of a model but its identifier
//! media = "image"
//! price_source = "published"
//! ratios = ["1:1", "16:9"]         # the first is the default, here and below
//! formats = ["png", "jpg"]
//! fields = ["generation_seed"]
//!
//! [fields.generation_seed]         # what a field accepts, to be named by models
//! type = "integer"                 # integer | number | boolean | text | enum | enum_list
//! min = 0
//! max = 2147483647
//!
//! [fields.wide_seed]               # another shape of the same field, for other models
//! name = "generation_seed"
//! type = "integer"
//! min = 0
//! max = 4294967295
//!
//! [[model]]
//! identifier = "lab/model"
//! price = 0.005                    # or { 720p_audio = 0.062, 720p_noaudio = 0.041 }
//! stack = [                        # in the order in which they are tried
//!   { provider = "bfl", model = "their-name" },
//!   { provider = "fal", model = "owner/their-name", can.ratios = ["1:1"], can.fields = [] },
//! ]
//! rules = [                        # what is refused together, although not by itself
//!   { when = "generation_ratio", is = ["16:9"], needs = "generation_output_format", one_of = ["jpg"] },
//! ]
//! ```
//!
//! Ratios and the like are what each provider of the stack can do, unless it says otherwise
//! under `can`. What the model offers is computed from that.
//!
//! A model of the operator's takes the place of a built-in one with the same identifier, as a
//! whole; a file of `prices` changes prices alone. What the values must be is decided by
//! [`Catalogue::build`]; these files know TOML.

mod prices;
mod wire;

use std::path::Path;
use std::{fmt, fs, io};

use actors::catalogue::Catalogue;
use actors::catalogue::spec::{CatalogueProblem, ModelSpec};

use self::wire::parse;

/// The models of the labs.
#[rustfmt::skip]
const LABS: [(&str, &str); 10] = [
    ("catalogue/bfl.toml", include_str!("../catalogue/bfl.toml")),
    ("catalogue/bytedance.toml", include_str!("../catalogue/bytedance.toml")),
    ("catalogue/google.toml", include_str!("../catalogue/google.toml")),
    ("catalogue/gpt.toml", include_str!("../catalogue/gpt.toml")),
    ("catalogue/happyhorse.toml", include_str!("../catalogue/happyhorse.toml")),
    ("catalogue/kling.toml", include_str!("../catalogue/kling.toml")),
    ("catalogue/qwen.toml", include_str!("../catalogue/qwen.toml")),
    ("catalogue/runway.toml", include_str!("../catalogue/runway.toml")),
    ("catalogue/wan.toml", include_str!("../catalogue/wan.toml")),
    ("catalogue/z.toml", include_str!("../catalogue/z.toml")),
];

/// The models of the embedded provider.
const SANDBOX: [(&str, &str); 1] =
    [("catalogue/sandbox.toml", include_str!("../catalogue/sandbox.toml"))];

/// Where models come from.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sources<'a> {
    /// Whether the models of the embedded provider are offered.
    pub sandbox: bool,
    /// The operator's own files, `*.toml` in this directory, in the order of their names.
    pub directory: Option<&'a Path>,
    /// The operator's own prices.
    pub prices: Option<&'a Path>,
}

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// A file or the directory cannot be read.
    #[error("the catalogue cannot be read: {path}")]
    Unreadable {
        path: String,
        #[source]
        source: io::Error,
    },
    /// A file says something wrong.
    #[error("the catalogue is not valid:{}", Lines(.0))]
    Invalid(Vec<CatalogueProblem>),
}

struct Lines<'a>(&'a [CatalogueProblem]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

/// Reads and checks everything.
///
/// # Errors
/// All problems of all files.
pub fn load(sources: Sources<'_>) -> Result<Catalogue, CatalogueError> {
    let built_in = LABS.iter().chain(if sources.sandbox { &SANDBOX[..] } else { &[] });
    let own = sources.directory.map(read_directory).transpose()?.unwrap_or_default();
    let prices = sources.prices.map(read).transpose()?;
    let mut problems = Vec::new();
    let mut models = Vec::new();
    for (file, text) in built_in {
        models.extend(parse(file, text, &mut problems));
    }
    let mut own_models = Vec::new();
    for (file, text) in &own {
        own_models.extend(parse(file, text, &mut problems));
    }
    let mut models = overridden(models, own_models);
    if let Some((file, text)) = &prices {
        prices::apply(file, text, &mut models, &mut problems);
    }
    if !problems.is_empty() {
        return Err(CatalogueError::Invalid(problems));
    }
    Catalogue::build(models).map_err(CatalogueError::Invalid)
}

/// Puts each of the operator's models in the place of the built-in one it overrides, the rest
/// at the end. A second model of the operator's with one identifier stays, to be refused.
fn overridden(mut models: Vec<ModelSpec>, mut own: Vec<ModelSpec>) -> Vec<ModelSpec> {
    for model in &mut models {
        if let Some(index) = own.iter().position(|own| own.identifier == model.identifier) {
            *model = own.remove(index);
        }
    }
    models.append(&mut own);
    models
}

fn read_directory(directory: &Path) -> Result<Vec<(String, String)>, CatalogueError> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory).map_err(unreadable(directory))? {
        let path = entry.map_err(unreadable(directory))?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    paths.iter().map(|path| read(path)).collect()
}

/// A file's name and text.
fn read(path: &Path) -> Result<(String, String), CatalogueError> {
    let text = fs::read_to_string(path).map_err(unreadable(path))?;
    Ok((path.display().to_string(), text))
}

fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> CatalogueError + use<> {
    let path = path.display().to_string();
    move |source| CatalogueError::Unreadable { path, source }
}

#[cfg(test)]
mod tests;
