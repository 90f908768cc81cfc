//! What is asked about an endpoint: where it is, and what it wants to be told.

use actors::ports::EndpointRefusal;
use actors::webhook::EventName;

use crate::dashboard::form::sentence;
use crate::error::page::PageError;
use crate::identity::IdentityError;

/// A form whose fields repeat.
pub(in crate::dashboard) type Fields = Vec<(String, String)>;

/// What was typed, and what is wrong with it.
#[derive(Debug, Clone, Default)]
pub(in crate::dashboard) struct EndpointForm {
    pub(in crate::dashboard) url: String,
    pub(in crate::dashboard) events: Vec<EventName>,
    pub(in crate::dashboard) url_error: String,
    pub(in crate::dashboard) events_error: String,
    pub(in crate::dashboard) general_error: String,
}

/// An event as a choice.
#[derive(Debug)]
pub(in crate::dashboard) struct EventChoice {
    pub(in crate::dashboard) value: &'static str,
    pub(in crate::dashboard) title: &'static str,
    pub(in crate::dashboard) text: &'static str,
    pub(in crate::dashboard) is_chosen: bool,
}

impl EndpointForm {
    /// Before anything is typed.
    pub(in crate::dashboard) fn empty() -> Self {
        Self { events: EventName::DEFAULT.to_vec(), ..Self::default() }
    }

    /// What was sent.
    ///
    /// # Errors
    /// [`PageError::BadForm`] for an event that is none of ours.
    pub(in crate::dashboard) fn read(fields: Fields) -> Result<Self, PageError> {
        let mut form = Self::default();
        for (name, value) in fields {
            match name.as_str() {
                "url" => form.url = value,
                "event" => form.events.push(EventName::parse(&value).ok_or(PageError::BadForm)?),
                _ => {}
            }
        }
        Ok(form)
    }

    /// With why it was refused, at the field that this is about.
    ///
    /// # Errors
    /// When it is not the form's fault.
    pub(in crate::dashboard) fn refused(self, error: IdentityError) -> Result<Self, PageError> {
        match error {
            IdentityError::Url(problem) => {
                Ok(Self { url_error: sentence(&problem.to_string()), ..self })
            }
            IdentityError::Invalid { field: "the events", .. } => {
                Ok(Self { events_error: "Choose one at least.".to_owned(), ..self })
            }
            IdentityError::Endpoint(EndpointRefusal::TooMany(max)) => Ok(Self {
                general_error: format!(
                    "This account has {max} endpoints, which is as many as it may have. Delete \
                     one first."
                ),
                ..self
            }),
            IdentityError::Endpoint(EndpointRefusal::UnknownEndpoint) => Err(PageError::NotFound),
            other => Err(PageError::internal(other)),
        }
    }

    pub(in crate::dashboard) fn choices(&self) -> impl Iterator<Item = EventChoice> {
        let subscribable = EventName::ALL.into_iter().filter(|event| event.is_subscribable());
        subscribable.map(|event| EventChoice {
            value: event.as_str(),
            title: title(event),
            text: text(event),
            is_chosen: self.events.contains(&event),
        })
    }
}

fn title(event: EventName) -> &'static str {
    match event {
        EventName::GenerationStarted => "Generation Started",
        EventName::GenerationCompleted => "Generation Completed",
        EventName::GenerationFailed => "Generation Failed",
        EventName::GenerationCanceled => "Generation Canceled",
        EventName::CreditsLowBalance => "Low Balance",
        EventName::WebhookDisabled => "Webhook Disabled",
        EventName::WebhookTest => "Test",
    }
}

fn text(event: EventName) -> &'static str {
    match event {
        EventName::GenerationStarted => "A provider has accepted the job",
        EventName::GenerationCompleted => "The output files are ready",
        EventName::GenerationFailed => "It failed, and its credit was given back",
        EventName::GenerationCanceled => "It was canceled before it completed",
        EventName::CreditsLowBalance => "The balance has fallen below a threshold",
        EventName::WebhookDisabled => "Another endpoint was disabled because of its failures",
        EventName::WebhookTest => "Sent on request",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn the_four_events_of_generations_are_chosen_at_first() {
        let chosen = |choice: EventChoice| choice.is_chosen.then_some(choice.title);
        let form = EndpointForm::empty();
        let titles: Vec<&str> = form.choices().filter_map(chosen).collect();
        let documented = [
            "Generation Started",
            "Generation Completed",
            "Generation Failed",
            "Generation Canceled",
        ];
        assert_eq!(titles, documented);
        assert!(form.choices().any(|choice| choice.value == "credits.low_balance"));
        assert!(form.choices().all(|choice| choice.value != "webhook.test"));
    }

    #[test]
    fn a_form_is_read_with_all_of_its_events() {
        let sent = vec![
            field("csrf", "x"),
            field("url", "https://example.com/"),
            field("event", "generation.failed"),
            field("event", "credits.low_balance"),
        ];
        let form = EndpointForm::read(sent).unwrap();
        assert_eq!(form.url, "https://example.com/");
        assert_eq!(form.events, [EventName::GenerationFailed, EventName::CreditsLowBalance]);
        assert!(EndpointForm::read(vec![field("event", "rocket.launched")]).is_err());
    }

    #[test]
    fn a_refusal_stands_at_its_field() {
        let url = IdentityError::Url(crate::address_guard::UrlProblem::Scheme);
        let form = EndpointForm::empty().refused(url).unwrap();
        assert_eq!(form.url_error, "The URL must start with https://.");
        let events = crate::identity::invalid("the events", "must not be empty");
        assert!(!EndpointForm::empty().refused(events).unwrap().events_error.is_empty());
        let many = IdentityError::Endpoint(EndpointRefusal::TooMany(10));
        assert!(EndpointForm::empty().refused(many).unwrap().general_error.contains("10"));
    }
}
