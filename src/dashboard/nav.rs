//! The pages of a workspace, in the order and the groups of the sidebar.

use actix_web::HttpRequest;

/// A page of a workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Area {
    Metrics,
    Generations,
    Logs,
    Activity,
    ApiKeys,
    Webhooks,
    Domains,
    Playground,
    Models,
    Credits,
    Billing,
    Notifications,
    Members,
    Settings,
    Profile,
}

/// A heading of the sidebar with its links.
#[derive(Debug)]
pub(super) struct NavGroup {
    pub(super) label: &'static str,
    pub(super) links: Vec<NavLink>,
}

/// A link of the sidebar.
#[derive(Debug)]
pub(super) struct NavLink {
    pub(super) label: &'static str,
    pub(super) icon: &'static str,
    pub(super) href: String,
    pub(super) is_here: bool,
    pub(super) new_tab: bool,
}

const GROUPS: [(&str, &[Area]); 5] = [
    ("Overview", &[Area::Metrics, Area::Generations, Area::Logs]),
    ("Developers", &[Area::ApiKeys, Area::Webhooks, Area::Domains]),
    ("Library", &[Area::Playground, Area::Models]),
    ("Credit", &[Area::Credits, Area::Billing, Area::Notifications]),
    ("Workspace", &[Area::Members, Area::Activity, Area::Settings, Area::Profile]),
];

impl Area {
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Metrics => "Metrics",
            Self::Generations => "Generations",
            Self::Logs => "Logs",
            Self::Activity => "Activity",
            Self::ApiKeys => "API keys",
            Self::Webhooks => "Webhook",
            Self::Domains => "Domains",
            Self::Playground => "Playground",
            Self::Models => "Models",
            Self::Credits => "Credits",
            Self::Billing => "Billing",
            Self::Notifications => "Notifications",
            Self::Members => "Members",
            Self::Settings => "Settings",
            Self::Profile => "My profile",
        }
    }

    /// A symbol of `static/icons.svg`.
    fn icon(self) -> &'static str {
        match self {
            Self::Metrics => "chart-column",
            Self::Generations => "images",
            Self::Logs => "scroll-text",
            Self::Activity => "history",
            Self::ApiKeys => "key-round",
            Self::Webhooks => "webhook",
            Self::Domains => "globe",
            Self::Playground => "flask-conical",
            Self::Models => "boxes",
            Self::Credits => "coins",
            Self::Billing => "credit-card",
            Self::Notifications => "bell",
            Self::Members => "users",
            Self::Settings => "settings",
            Self::Profile => "circle-user-round",
        }
    }

    /// Where it is in the workspace of this slug.
    pub(super) fn path(self, slug: &str) -> String {
        let page = match self {
            Self::Metrics => return format!("/home/{slug}"),
            Self::Playground => return "/playground".to_owned(),
            Self::Profile => return "/home/settings".to_owned(),
            Self::Generations => "generations",
            Self::Logs => "logs",
            Self::Activity => "activity",
            Self::ApiKeys => "api-keys",
            Self::Webhooks => "webhooks",
            Self::Domains => "domains",
            Self::Models => "models",
            Self::Credits => "credits",
            Self::Billing => "billing",
            Self::Notifications => "notifications",
            Self::Members => "members",
            Self::Settings => "settings",
        };
        format!("/home/{slug}/{page}")
    }

    /// Whether accounts of one person have it too.
    fn is_for_teams(self) -> bool {
        matches!(self, Self::Members | Self::Settings)
    }
}

/// A page of the operator's console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    Overview,
    Accounts,
    Users,
    Audit,
}

impl Room {
    const ALL: [Self; 4] = [Self::Overview, Self::Accounts, Self::Users, Self::Audit];

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Accounts => "Accounts",
            Self::Users => "Users",
            Self::Audit => "Audit log",
        }
    }

    fn icon(self) -> &'static str {
        match self {
            Self::Overview => "gauge",
            Self::Accounts => "building-2",
            Self::Users => "users",
            Self::Audit => "scroll-text",
        }
    }

    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Overview => "/operator",
            Self::Accounts => "/operator/accounts",
            Self::Users => "/operator/users",
            Self::Audit => "/operator/audit",
        }
    }
}

/// The sidebar of the console.
pub(super) fn console(here: Room) -> Vec<NavGroup> {
    let link = |room: Room| NavLink {
        label: room.label(),
        icon: room.icon(),
        href: room.path().to_owned(),
        is_here: room == here,
        new_tab: false,
    };
    vec![NavGroup { label: "This server", links: Room::ALL.map(link).into() }]
}

/// The sidebar of a workspace: of its pages those that this server has.
pub(super) fn workspace(
    request: &HttpRequest,
    slug: &str,
    is_team: bool,
    here: Area,
) -> Vec<NavGroup> {
    let link = |(area, href): (Area, String)| NavLink {
        label: area.label(),
        icon: area.icon(),
        href,
        is_here: area == here,
        new_tab: area == Area::Playground,
    };
    let groups = GROUPS.iter().map(|(label, areas)| NavGroup {
        label,
        links: pages(request, slug, is_team, areas).map(link).collect(),
    });
    groups.filter(|group| !group.links.is_empty()).collect()
}

/// Where a workspace begins: the first page of its sidebar.
pub(super) fn home(request: &HttpRequest, slug: &str, is_team: bool) -> String {
    let all = GROUPS.iter().flat_map(|(_, areas)| pages(request, slug, is_team, areas));
    all.map(|(_, href)| href).next().unwrap_or_else(|| "/".to_owned())
}

fn pages(
    request: &HttpRequest,
    slug: &str,
    is_team: bool,
    areas: &'static [Area],
) -> impl Iterator<Item = (Area, String)> {
    let shown = areas.iter().filter(move |area| is_team || !area.is_for_teams());
    let pages = shown.map(move |area| (*area, area.path(slug)));
    pages.filter(|(_, href)| request.resource_map().has_resource(href))
}
