//! What is wrong with a form, beside the field that it is about.

use actors::ports::GrantRefusal;
use actors::ports::people::UserRefusal;
use actors::ports::teams::TeamRefusal;

use super::flash::Flash;
use super::form::sentence;
use crate::error::page::PageError;
use crate::identity::IdentityError;
use crate::people::PeopleError;

/// One thing that is wrong with a form, or nothing.
#[derive(Debug, Clone, Default)]
pub(super) struct Problem {
    /// The field; empty for the form as a whole.
    field: &'static str,
    text: String,
}

impl Problem {
    /// What is wrong with this field, or nothing.
    pub(super) fn of(&self, field: &str) -> &str {
        if self.field == field { &self.text } else { "" }
    }

    /// What is wrong with the form as a whole, or nothing.
    pub(super) fn general(&self) -> &str {
        self.of("")
    }

    pub(super) fn is_some(&self) -> bool {
        !self.text.is_empty()
    }

    /// Something that is wrong with a field, as a sentence.
    pub(super) fn new(field: &'static str, text: &impl ToString) -> Self {
        Self { field, text: sentence(&text.to_string()) }
    }

    /// The same of what those who run the server do.
    pub(super) fn with_identity(error: IdentityError) -> Result<Self, PageError> {
        match error {
            IdentityError::Invalid { field, problem } => {
                Ok(Self::new(field.strip_prefix("the ").unwrap_or(field), &problem))
            }
            IdentityError::Grant(GrantRefusal::UnknownAccount) => Err(PageError::NotFound),
            IdentityError::Grant(refusal) => Ok(Self::new("", &refusal)),
            IdentityError::Store(error) => Err(error.into()),
            other => Err(PageError::internal(other)),
        }
    }

    /// What can be said beside a form; the rest has a page of its own.
    pub(super) fn with(error: PeopleError) -> Result<Self, PageError> {
        let field = match &error {
            PeopleError::Invalid { field, problem } => {
                return Ok(Self { field, text: sentence(problem) });
            }
            PeopleError::User(UserRefusal::EmailTaken) => "email",
            PeopleError::Team(TeamRefusal::SlugTaken) => "slug",
            PeopleError::WrongCode => "code",
            PeopleError::Team(TeamRefusal::NotAllowed) | PeopleError::Disabled => {
                return Err(PageError::Forbidden);
            }
            PeopleError::Busy(_) => return Err(PageError::Busy),
            PeopleError::Store(_) | PeopleError::Hash(_) => return Err(PageError::internal(error)),
            PeopleError::WrongPassword
            | PeopleError::TooManyTries { .. }
            | PeopleError::TooSoon
            | PeopleError::LinkSpent
            | PeopleError::User(_)
            | PeopleError::Team(_) => "",
        };
        Ok(Self { field, text: sentence(&error.to_string()) })
    }

    /// The same as what the next page says, where there is no form any more.
    pub(super) fn flash(error: PeopleError) -> Result<Flash, PageError> {
        Self::with(error).map(|problem| Flash::error(problem.text))
    }
}
