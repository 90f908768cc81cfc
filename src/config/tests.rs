use std::collections::BTreeSet;

use ::providers::name::ProviderName;

use super::*;

fn load(file: &str, environment: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    load_with(file, environment, &Overrides::default())
}

fn load_with(
    file: &str,
    environment: &[(&str, &str)],
    overrides: &Overrides,
) -> Result<Config, Vec<String>> {
    let directory =
        std::env::temp_dir().join(format!("babysea-config-{:x}", rand::random::<u64>()));
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.join("babysea.toml");
    std::fs::write(&path, file).unwrap();
    let environment = environment.iter().map(|(name, value)| (name.into(), value.into()));
    let loaded = Config::load_from(Some(&path), environment, overrides);
    std::fs::remove_dir_all(&directory).unwrap();
    loaded.map_err(|problems| {
        let start = directory.display().to_string();
        problems.0.iter().map(|problem| problem.replace(&start, "DIR")).collect()
    })
}

/// Fails when a key of the file is not read, or one that is read is not in the file.
#[test]
fn the_defaults_are_complete_and_without_a_problem() {
    let config = load("", &[]).unwrap();
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.webhooks.policy.waits.len(), 5);
    assert!(config.secrets.master_key.is_none());
    assert!(config.server.workers > 0);
}

/// A changed default has to show in review.
#[test]
fn the_reference_lists_every_setting() {
    let settings: Vec<&str> =
        DEFAULTS.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
    assert_eq!(settings.join("\n"), include_str!("snapshot.toml").trim_end());
}

#[test]
fn every_setting_is_explained() {
    let mut before = "";
    let mut keys = BTreeSet::new();
    for line in DEFAULTS.lines() {
        if let Some((key, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            assert!(before.starts_with('#'), "{key} has no comment");
            keys.insert(key);
        }
        before = line;
    }
    assert!(keys.len() > 40);
}

#[test]
fn later_sources_win() {
    let file = "[server]\nlisten = \"127.0.0.1:1\"\nworkers = 3\nregion = \"eu\"";
    let environment =
        [("BABYSEA__SERVER__LISTEN", "127.0.0.1:2"), ("BABYSEA__SERVER__WORKERS", "5")];
    let overrides = Overrides { listen: Some("127.0.0.1:3".to_owned()), ..Overrides::default() };
    let server = load_with(file, &environment, &overrides).unwrap().server;
    assert_eq!(server.listen.port(), 3);
    assert_eq!(server.workers, 5);
    assert_eq!(server.region, "eu");
}

#[test]
fn the_environment_writes_lists_with_commas() {
    let config = load(
        "",
        &[
            ("BABYSEA__WEBHOOKS__WAITS_MS", "0, 20,30"),
            ("BABYSEA__SERVER__TRUSTED_PROXIES", "10.0.0.0/8,192.0.2.1"),
            ("BABYSEA__SANDBOX__ENABLED", "false"),
            ("UNRELATED", "1"),
        ],
    )
    .unwrap();
    assert_eq!(config.webhooks.policy.waits, [0, 20, 30].map(Duration::from_millis));
    assert!(!config.sandbox.enabled);
}

#[test]
fn all_problems_are_named_at_once_with_their_source() {
    let file = "
        [server]
        lisen = \"127.0.0.1:1\"
        workers = \"many\"
        public_url = \"https://example.com/babysea\"
        [auth]
        bcrypt_cost = 31
        [surprise]
        x = 1
        [generation]
        image_timeout_ms = 5
        poll_max_ms = -1
        [log]
        format = \"xml\"";
    let environment = [
        ("BABYSEA__WRITER__BATCHMAX", "1"),
        ("BABYSEA__WEBHOOKS__WAITS_MS", ""),
        ("BABYSEA__SERVER", "1"),
        ("BABYSEA__SECRETS__MASTER_KEY", "hunter2"),
        ("BABYSEA__STORAGE__DATABASE_URL", "mysql://root:hunter2@db/x"),
    ];
    let problems = load(file, &environment).unwrap_err();
    let expected = [
        "`auth.bcrypt_cost` must be a whole number from 4 to 15 (set in DIR/babysea.toml)",
        "`generation.image_attempt_timeout_ms` is 60000 and must not exceed \
         `generation.image_timeout_ms`, 5 (set in the built-in defaults)",
        "`generation.poll_max_ms` must be a whole number from 1 to 86400000 \
         (set in DIR/babysea.toml)",
        "`log.format` must be text or json, and not \"xml\" (set in DIR/babysea.toml)",
        "`secrets.master_key` must be 64 hexadecimal digits \
         (set in the environment (BABYSEA__SECRETS__MASTER_KEY))",
        "`server` is a section, not a setting (set in the environment (BABYSEA__SERVER))",
        "`server.lisen` is not a setting (set in DIR/babysea.toml)",
        "`server.public_url` must be https://host or http://host:port, without path, user or \
         query, and not \"https://example.com/babysea\" (set in DIR/babysea.toml)",
        "`server.workers` must be a whole number from 0 to 1024 (set in DIR/babysea.toml)",
        "`storage.database_url` must be postgres://user:password@host/database or sqlite:PATH \
         (set in the environment (BABYSEA__STORAGE__DATABASE_URL))",
        "`surprise.x` is not a setting (set in DIR/babysea.toml)",
        "`webhooks.waits_ms` must be 1 to 20 whole numbers from 0 to 3600000 \
         (set in the environment (BABYSEA__WEBHOOKS__WAITS_MS))",
        "`writer.batchmax` is not a setting (set in the environment (BABYSEA__WRITER__BATCHMAX))",
    ];
    assert_eq!(problems, expected);
}

#[test]
fn secrets_are_not_printed() {
    let config = load(
        "",
        &[
            ("BABYSEA__SECRETS__MASTER_KEY", &"5e".repeat(32)),
            ("BABYSEA__STORAGE__DATABASE_URL", "postgres://babysea:hunter2@db/babysea"),
        ],
    )
    .unwrap();
    let printed = format!("{config:?}");
    assert!(!printed.contains("hunter2") && !printed.contains("5e5e"), "{printed}");
    assert_eq!(config.secrets.master_key.unwrap().expose_secret(), "5e".repeat(32));
}

#[test]
fn a_region_is_a_label() {
    let at = |region: &str| load(&format!("[server]\nregion = {region:?}"), &[]);
    for region in ["us", "eu", "ap-2"] {
        assert_eq!(at(region).unwrap().server.region, region);
    }
    for region in ["", "US", "a b", "eü", &"a".repeat(33)] {
        let problems = at(region).unwrap_err();
        assert!(problems[0].contains("`server.region`"), "{problems:?}");
    }
}

#[test]
fn a_missing_file_is_reported() {
    let path = Path::new("/nowhere/babysea.toml");
    let problems = Config::load_from(Some(path), [], &Overrides::default()).unwrap_err();
    assert!(problems.to_string().contains("/nowhere/babysea.toml"), "{problems}");
}

#[test]
fn the_database_is_a_file_in_the_data_directory_unless_told_otherwise() {
    let at = |url: &str| {
        let environment =
            [("BABYSEA__STORAGE__DATA_DIR", "/srv/sea"), ("BABYSEA__STORAGE__DATABASE_URL", url)];
        load("", &environment).map(|config| config.storage.database)
    };
    assert!(matches!(at("").unwrap(), Database::Sqlite(path) if path == *"/srv/sea/babysea.db"));
    assert!(
        matches!(at("sqlite:/tmp/x.db").unwrap(), Database::Sqlite(path) if path == *"/tmp/x.db")
    );
    assert!(
        matches!(at("sqlite:///tmp/x.db").unwrap(), Database::Sqlite(path) if path == *"/tmp/x.db")
    );
    assert!(matches!(at("postgresql:///x?host=/tmp").unwrap(), Database::Postgres(_)));
    assert!(at("sqlite::memory:").is_err());
}

#[test]
fn the_public_url_falls_back_to_the_address_listened_on() {
    let server = load("", &[]).unwrap().server;
    let url = |bound: &str| server.public_url(bound.parse().unwrap()).to_string();
    assert_eq!(url("127.0.0.1:4000"), "http://127.0.0.1:4000/");
    assert_eq!(url("0.0.0.0:4000"), "http://127.0.0.1:4000/");
    assert_eq!(url("[::]:4000"), "http://[::1]:4000/");
    let set = load("[server]\npublic_url = \"https://sea.example\"", &[]).unwrap().server;
    assert_eq!(set.public_url(set.listen).to_string(), "https://sea.example/");
}

#[test]
fn the_two_listeners_may_not_clash() {
    assert!(load("[operator]\nlisten = \"0.0.0.0:8080\"", &[]).is_err());
    assert!(load("[operator]\nlisten = \"\"", &[]).unwrap().operator.listen.is_none());
    let free =
        load("[server]\nlisten = \"127.0.0.1:0\"\n[operator]\nlisten = \"127.0.0.1:0\"", &[]);
    assert!(free.is_ok());
}

#[test]
fn a_provider_without_a_key_is_absent_and_its_key_is_not_printed() {
    assert_eq!(load("", &[]).unwrap().providers.addresses().count(), 0);
    let environment = [
        ("BABYSEA__PROVIDER_FAL__API_KEY", "s3cret"),
        ("BABYSEA__PROVIDER_FAL__BASE_URL", "http://127.0.0.1:9/fal"),
        ("BABYSEA__PROVIDER_CLOUDFLARE__API_KEY", "s3cret"),
        ("BABYSEA__PROVIDER_CLOUDFLARE__ACCOUNT_ID", "0a1b"),
    ];
    let providers = load("", &environment).unwrap().providers;
    let addresses: Vec<&str> = providers.addresses().map(url::Url::as_str).collect();
    let cloudflare = "https://api.cloudflare.com/client/v4";
    assert_eq!(addresses, [cloudflare, "http://127.0.0.1:9/fal"]);
    assert!(!providers.asked.contains_key(&ProviderName::Runway));
    assert!(!format!("{providers:?}").contains("s3cret"));
}

#[test]
fn a_provider_needs_a_readable_address_and_an_account_where_it_has_one() {
    let environment = [
        ("BABYSEA__PROVIDER_OPENAI__BASE_URL", "https://user:pass@api.example"),
        ("BABYSEA__PROVIDER_CLOUDFLARE__API_KEY", "s3cret"),
    ];
    let problems = load("", &environment).unwrap_err().join("\n");
    for part in ["`provider_openai.base_url` must be", "`provider_cloudflare.account_id` is needed"]
    {
        assert!(problems.contains(part), "{problems}");
    }
    assert!(!problems.contains("s3cret"), "{problems}");
}

#[test]
fn a_password_in_an_address_is_not_repeated() {
    let wrong = "https://user:hunter2@api.example";
    let environment = [
        ("BABYSEA__PROVIDER_OPENAI__BASE_URL", wrong),
        ("BABYSEA__PROVIDER_FAL__KEYS_URL", wrong),
        ("BABYSEA__SERVER__PUBLIC_URL", wrong),
        ("BABYSEA__WEBHOOKS__PROXY_URL", wrong),
    ];
    let problems = load("", &environment).unwrap_err();
    assert_eq!(problems.len(), 4, "{problems:?}");
    assert!(!problems.join(" ").contains("hunter2"), "{problems:?}");
}

#[test]
fn a_bucket_needs_its_credentials_and_a_directory_none() {
    let place = |url: &str, more: &[(&str, &str)]| {
        let environment = [&[("BABYSEA__OUTPUTS__URL", url)], more].concat();
        load("", &environment).map(|config| config.outputs)
    };
    let keys = [
        ("BABYSEA__OUTPUTS__ACCESS_KEY_ID", "access"),
        ("BABYSEA__OUTPUTS__SECRET_ACCESS_KEY", "s3cret"),
    ];
    let OutputsConfig::Bucket(bucket) = place("s3://films/sea/out/", &keys).unwrap() else {
        panic!("no bucket");
    };
    assert_eq!((bucket.name.as_str(), bucket.prefix.as_str()), ("films", "sea/out"));
    assert!(!format!("{bucket:?}").contains("s3cret"));
    assert_eq!(place("s3://films", &[]).unwrap_err().len(), 2);
    for url in ["s3://", "s3:///x", "s3://films/../x", "s3://films//x", "ftp://films", "file:"] {
        assert!(place(url, &keys).is_err(), "{url}");
    }
    let directory = |url| match place(url, &[]).unwrap() {
        OutputsConfig::Directory(path) => path.display().to_string(),
        OutputsConfig::Bucket(_) => panic!("a bucket"),
    };
    assert_eq!(directory("file:///srv/films"), "/srv/films");
    assert!(directory("").ends_with("data/outputs"));
}

#[test]
fn moderation_needs_a_secret_and_tls_unless_a_developer_says_otherwise() {
    let secret = ("BABYSEA__MODERATION__SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    let asked = |url: &str, more: &[(&str, &str)]| {
        let environment = [&[("BABYSEA__MODERATION__URL", url)], more].concat();
        load("", &environment).map(|config| config.moderation)
    };
    assert!(asked("", &[]).unwrap().is_none());
    let on_failure = asked("https://judge.example/v1", &[secret]).unwrap().unwrap().on_failure;
    assert_eq!(on_failure, OnFailure::Closed);
    assert!(asked("https://judge.example/v1", &[]).is_err());
    assert!(asked("http://127.0.0.1:9/", &[secret]).is_err());
    let private = ("BABYSEA__WEBHOOKS__ALLOW_PRIVATE_TARGETS", "true");
    assert!(asked("http://127.0.0.1:9/", &[secret, private]).is_ok());
    let failure = ("BABYSEA__MODERATION__ON_FAILURE", "fail");
    assert!(asked("https://judge.example/", &[secret, failure]).is_err());
}
