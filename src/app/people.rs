//! What people who sign in need.

use std::sync::Arc;

use actors::ports::IdSource;
use providers::clock::Clock;

use crate::auth::session::Sessions;
use crate::config::Config;
use crate::secrets::{MasterKey, Purpose};
use crate::store::Store;

/// Knows signed-in browsers. `url` is how the outside world reaches this server.
pub(super) fn sessions(
    config: &Config,
    master_key: &MasterKey,
    url: &str,
    store: &Arc<Store>,
    (clock, ids): (&Arc<dyn Clock>, &Arc<dyn IdSource>),
) -> Sessions {
    Sessions {
        sessions: Arc::clone(store) as _,
        memberships: Arc::clone(store) as _,
        notifications: Arc::clone(store) as _,
        clock: Arc::clone(clock),
        ids: Arc::clone(ids),
        form_key: master_key.derive(Purpose::FormTokens),
        idle: config.people.session_idle,
        max: config.people.session_max,
        secure: url.starts_with("https://"),
    }
}
