//! One thing that is wrong with a request.

use serde_json::Number;

use crate::catalogue::field::Misfit;

/// The field of a problem that concerns the body as a whole.
pub const BODY: &str = "body";

/// Problems reported of one body at most. A body of 100 KB can hold some 15,000 unknown
/// fields; nobody reads so many, and the answer would be many times the request.
pub const PROBLEMS_MAX: usize = 100;

/// Characters of a name chosen by the client that are repeated to it.
const NAME_MAX: usize = 64;

/// One thing that is wrong with a request, and where.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    /// The public field name, such as `generation_input_file`, or [`BODY`].
    pub field: String,
    /// JSON pointer (RFC 6901) into the body, with the index of an array's item; empty for the
    /// whole body.
    pub pointer: String,
    /// A sentence for the person who wrote the request. Never contains the refused value.
    pub reason: String,
    /// Which error it is.
    pub kind: ProblemKind,
}

/// Which error of the contract a problem is (`spec/contract.md` B.1).
#[derive(Debug, Clone, PartialEq)]
pub enum ProblemKind {
    /// BSE2001, invalid_input.
    Invalid,
    /// BSE2009, file_download_error: a text that is no address of a public file.
    FileUrl,
    /// BSE2008, parameter_out_of_range: a number outside its bounds, both inclusive.
    OutOfRange {
        /// Smallest accepted.
        min: Number,
        /// Largest accepted.
        max: Number,
    },
}

impl Problem {
    /// An invalid field; `what` completes the sentence "`field` …".
    pub(super) fn invalid(field: &str, what: &str) -> Self {
        Self::at(&[Step::Name(field.to_owned())], Misfit::new(what))
    }

    /// A misfit of a field or, by its index, of one of its items.
    pub(super) fn misfit(field: &str, misfit: Misfit) -> Self {
        let name = Step::Name(field.to_owned());
        match misfit.index {
            None => Self::at(&[name], misfit),
            Some(index) => Self::at(&[name, Step::Index(index)], misfit),
        }
    }

    /// A text that is no address of a file, by its index in a list.
    pub(super) fn file_url(field: &str, misfit: Misfit) -> Self {
        Self { kind: ProblemKind::FileUrl, ..Self::misfit(field, misfit) }
    }

    /// A body that cannot be read; `what` completes the sentence "The request body …".
    pub(super) fn unreadable(path: &[Step], what: &str) -> Self {
        Self {
            field: field_of(path),
            pointer: path.iter().map(Step::token).collect(),
            reason: format!("The request body {what}."),
            kind: ProblemKind::Invalid,
        }
    }

    /// A misfit anywhere in the body.
    pub(super) fn at(path: &[Step], misfit: Misfit) -> Self {
        let field = field_of(path);
        let pointer: String = path.iter().map(Step::token).collect();
        let subject = match path {
            [] => "The request body".to_owned(),
            [_] if field.is_empty() => "A field without a name".to_owned(),
            [_] => field.clone(),
            [_, Step::Index(index)] => format!("Item {index} of {field}"),
            _ => format!("The value at {pointer}"),
        };
        let reason = format!("{subject} {}.", misfit.reason);
        let kind = match misfit.range {
            None => ProblemKind::Invalid,
            Some((min, max)) => ProblemKind::OutOfRange { min, max },
        };
        Self { field, pointer, reason, kind }
    }
}

fn field_of(path: &[Step]) -> String {
    match path.first() {
        Some(Step::Name(name)) => shortened(name),
        Some(Step::Index(_)) | None => BODY.to_owned(),
    }
}

/// A step from the body to a value in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Name(String),
    Index(usize),
}

impl Step {
    /// As a token of a JSON pointer.
    fn token(&self) -> String {
        match self {
            Self::Name(name) => {
                format!("/{}", shortened(name).replace('~', "~0").replace('/', "~1"))
            }
            Self::Index(index) => format!("/{index}"),
        }
    }
}

fn shortened(name: &str) -> String {
    match name.char_indices().nth(NAME_MAX) {
        None => name.to_owned(),
        Some((end, _)) => format!("{}…", &name[..end]),
    }
}
