//! `babysea user …`

use actors::ports::people::UserStore;
use actors::user::{Email, User};
use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::cli::output::{Answer, fields, table, time};
use crate::config::Config;
use crate::identity::{Context, act};
use crate::people::{NewUser, ResetLink, create_user, reset_link};

/// Users read at a time.
const PAGE: u32 = 1000;

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// List everybody who can sign in, oldest first
    #[command(after_help = "Example: babysea user list")]
    List,
    /// Make a user, and a link to choose a password
    #[command(
        after_help = "Example: babysea user create --email ada@example.com --name 'Ada Lovelace'"
    )]
    Create(CreateArgs),
    /// Make a link to choose a new password, which works for an hour
    #[command(after_help = "Example: babysea user reset-link --email ada@example.com")]
    ResetLink {
        /// Whose
        #[arg(long, value_parser = email)]
        email: Email,
    },
    /// Let a user run this server, or no longer
    #[command(after_help = "Example: babysea user operator --email ada@example.com --is true")]
    Operator {
        /// Who
        #[arg(long, value_parser = email)]
        email: Email,
        /// Whether
        #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set)]
        is: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// What is typed to sign in
    #[arg(long)]
    email: String,
    /// What others see, 2 to 100 characters
    #[arg(long)]
    name: String,
    /// Let the user run this server
    #[arg(long)]
    operator: bool,
}

impl UserCommand {
    pub(crate) async fn run(self, context: &Context, config: &Config) -> anyhow::Result<Answer> {
        match self {
            Self::List => list(context).await,
            Self::Create(CreateArgs { email, name, operator }) => {
                let new = NewUser { email, name, operator };
                Ok(linked(&create_user(context, new).await?, config))
            }
            Self::ResetLink { email } => Ok(linked(&reset_link(context, &email).await?, config)),
            Self::Operator { email, is } => {
                let login = context.store.find_login(&email).await?.context("no such user")?;
                let act = act(context, "")?;
                context.store.set_operator(login.user.id, is, act).await??;
                let user = User { operator: is, ..login.user };
                let what = if is { "runs this server" } else { "does not run this server" };
                Ok(Answer::new(document(&user), format!("{email} {what}.")))
            }
        }
    }
}

fn email(text: &str) -> Result<Email, String> {
    Email::parse(text).map_err(|problem| problem.to_string())
}

async fn list(context: &Context) -> anyhow::Result<Answer> {
    let mut users: Vec<User> = Vec::new();
    loop {
        let page = context.store.list_users(users.last().map(|user| user.id), PAGE).await?;
        let last = page.len() < PAGE as usize;
        users.extend(page);
        if last {
            break;
        }
    }
    let rows: Vec<_> = users
        .iter()
        .map(|user| {
            let operator = if user.operator { "yes" } else { "no" };
            let (email, name) = (user.email.to_string(), user.name.clone());
            [user.id.to_string(), email, name, operator.to_owned(), time(user.created_at)]
        })
        .collect();
    let text = table(["ID", "EMAIL", "NAME", "OPERATOR", "CREATED"], &rows, "There is no user.");
    let documents: Vec<Value> = users.iter().map(document).collect();
    Ok(Answer::new(json!({ "users": documents }), text))
}

/// A user and the link, which is shown this once.
fn linked(made: &ResetLink, config: &Config) -> Answer {
    let url = config.server.public_url(config.server.listen);
    let link = format!("{}{}", url.as_str().trim_end_matches('/'), made.path);
    let text = fields(&[
        ("User", made.user.id.to_string()),
        ("Email", made.user.email.to_string()),
        ("Name", made.user.name.clone()),
        ("Password", link.clone()),
        ("Until", time(made.expires_at)),
    ]);
    let mut document = document(&made.user);
    document["password_link"] = json!(link);
    document["password_path"] = json!(made.path);
    document["password_link_expires_at"] = json!(time(made.expires_at));
    Answer::new(document, text)
}

fn document(user: &User) -> Value {
    json!({
        "user_id": user.id,
        "user_email": user.email.as_str(),
        "user_name": user.name,
        "user_is_operator": user.operator,
        "user_created_at": time(user.created_at),
    })
}
