//! What is around the content of a page: `templates/layout.html` for somebody who is signed in,
//! `templates/bare.html` for everybody else.

use actix_web::HttpRequest;
use actors::account::AccountKind;
use actors::member::Membership;

use super::flash::Flash;
use super::nav::{self, Area, NavGroup, Room};
use super::theme::Theme;
use crate::auth::session::{Operator, SignedIn, UNREAD_MAX, Workspace};

/// The name of the operator's console, and what kind of place it is.
const CONSOLE: &str = "Console";
const CONSOLE_KIND: &str = "This server";

/// What every page has.
#[derive(Debug, Clone)]
pub(super) struct Head {
    /// Of the browser's tab.
    pub(super) title: String,
    pub(super) theme: Theme,
    /// What is said about the page before.
    pub(super) flash: Option<Flash>,
    /// Where the page is, with its query.
    pub(super) here: String,
}

impl Head {
    pub(super) fn of(request: &HttpRequest, title: impl Into<String>) -> Self {
        let here = request.uri().path_and_query().map_or("/", |it| it.as_str());
        Self {
            title: title.into(),
            theme: Theme::of(request),
            flash: Flash::of(request),
            here: here.to_owned(),
        }
    }
}

/// What a page of somebody who is signed in has around it.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) head: Head,
    /// The name of what is looked at: a workspace, or the console.
    pub(super) place: String,
    /// What kind of place it is, in a word or two.
    pub(super) place_kind: &'static str,
    /// Where the place begins.
    pub(super) home: String,
    pub(super) nav: Vec<NavGroup>,
    /// Where else this person may go.
    pub(super) switcher: Vec<Place>,
    pub(super) person: Person,
    /// What the place has to tell.
    pub(super) bell: Option<Bell>,
    /// For the forms of the frame itself.
    pub(super) csrf: String,
    /// Without anything around it: a table on a page of its own.
    pub(super) full: bool,
}

/// The way to the notifications, and how many are not read.
#[derive(Debug)]
pub(super) struct Bell {
    pub(super) href: String,
    pub(super) unread: u64,
    pub(super) is_here: bool,
}

impl Bell {
    /// The number as it is shown.
    pub(super) fn count(&self) -> String {
        let max = u64::from(UNREAD_MAX);
        if self.unread < max { self.unread.to_string() } else { format!("{}+", max - 1) }
    }
}

/// A line of the switcher.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) href: String,
    pub(super) is_here: bool,
}

/// Who is signed in.
#[derive(Debug)]
pub(super) struct Person {
    pub(super) name: String,
    pub(super) email: String,
}

impl Layout {
    /// Around a page of a workspace.
    pub(super) fn workspace(request: &HttpRequest, workspace: &Workspace, area: Area) -> Self {
        let Workspace { person, account, slug, role: _, memberships, unread } = workspace;
        let is_team = account.kind == AccountKind::Team;
        Self {
            head: Head::of(request, area.label()),
            place: account.name.clone(),
            place_kind: kind(account.kind),
            home: nav::home(request, slug, is_team),
            nav: nav::workspace(request, slug, is_team, area),
            switcher: places(request, person, memberships, Some(slug)),
            person: Person::of(person),
            bell: Some(Bell {
                href: Area::Notifications.path(slug),
                unread: *unread,
                is_here: area == Area::Notifications,
            }),
            csrf: person.csrf().to_owned(),
            full: false,
        }
    }

    /// Around a page of the operator's console.
    pub(super) fn console(request: &HttpRequest, operator: &Operator, room: Room) -> Self {
        let Operator { person, memberships } = operator;
        Self {
            head: Head::of(request, room.label()),
            place: CONSOLE.to_owned(),
            place_kind: CONSOLE_KIND,
            home: Room::Overview.path().to_owned(),
            nav: nav::console(room),
            switcher: places(request, person, memberships, None),
            person: Person::of(person),
            bell: None,
            csrf: person.csrf().to_owned(),
            full: false,
        }
    }

    /// The same for a part of an area, which has a title of its own.
    pub(super) fn titled(mut self, title: impl Into<String>) -> Self {
        self.head.title = title.into();
        self
    }

    /// Without anything around it, for a table on a page of its own.
    pub(super) fn full(mut self, full: bool) -> Self {
        self.full = full;
        self
    }
}

/// Where a person may go: the workspaces, `here` among them, and the console. Whoever is nowhere
/// among the workspaces is at the console, or at neither.
pub(super) fn places(
    request: &HttpRequest,
    person: &SignedIn,
    memberships: &[Membership],
    here: Option<&str>,
) -> Vec<Place> {
    let place = |membership: &Membership| Place {
        name: membership.account.name.clone(),
        kind: kind(membership.account.kind),
        href: nav::home(request, &membership.slug, membership.is_team()),
        is_here: here == Some(membership.slug.as_str()),
    };
    let console = person.user.operator.then(|| Place {
        name: CONSOLE.to_owned(),
        kind: CONSOLE_KIND,
        href: Room::Overview.path().to_owned(),
        is_here: request.path().starts_with(Room::Overview.path()),
    });
    memberships.iter().map(place).chain(console).collect()
}

fn kind(kind: AccountKind) -> &'static str {
    match kind {
        AccountKind::Personal => "Personal account",
        AccountKind::Team => "Team",
    }
}

impl Person {
    pub(super) fn of(person: &SignedIn) -> Self {
        Self { name: person.user.name.clone(), email: person.user.email.to_string() }
    }
}

/// The letter that stands for a name.
pub(super) fn initial(name: &str) -> String {
    name.chars().find(|c| c.is_alphanumeric()).unwrap_or('?').to_uppercase().collect()
}
