//! Integration with a system: help, version, completions, manual pages, settings.

use std::process::Command;

use serde_json::Value;

use crate::fake::Cluster;
use crate::home::Home;
use crate::program::{command, run, run_at};

const COMMANDS: [&str; 12] = [
    "login",
    "logout",
    "send",
    "tail",
    "history",
    "members",
    "like",
    "groups",
    "view",
    "config",
    "completions",
    "man",
];

#[test]
fn every_example_of_the_help_works_as_written() {
    let mut examples = 0;
    for command in [&[][..]]
        .into_iter()
        .chain(COMMANDS.chunks(1))
        .map(<[_]>::to_vec)
    {
        let arguments = [&command[..], &["--help"]].concat();
        let help = String::from_utf8(run(&arguments, "").stdout).unwrap();
        let after = help.split_once("Examples:\n");
        let (_, after) = after.unwrap_or_else(|| panic!("no examples: {help}"));
        for line in after.lines().take_while(|line| !line.is_empty()) {
            // A comment follows the command after many blanks.
            let example = line.trim().split("   ").next().unwrap();
            run_example(example);
            examples += 1;
        }
    }
    assert!(examples > 20, "{examples}");
}

fn run_example(example: &str) {
    let (home, cluster) = (Home::new(), Cluster::default());
    let server = cluster.start(1);
    cluster.history("bob", "hello");
    let program = command(&home);
    let folder = std::path::Path::new(program.get_program())
        .parent()
        .unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let line = example.replace("127.0.0.1:12001", &server.name());
    let mut shell = Command::new("sh");
    shell.args(["-ec", &line]).current_dir(home.path());
    for (name, value) in home.variables() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell
        .env("PATH", path)
        .env("CAUSEWAY_SERVER", server.name());

    let output = shell.stdin(std::process::Stdio::null()).output().unwrap();

    assert!(output.status.success(), "{example}: {output:?}");
    assert!(output.stderr.is_empty(), "{example}: {output:?}");
}

#[test]
fn the_version_has_the_level_of_the_api() {
    let output = run(&["--version"], "");

    let version = format!("causeway {} (API level 1)\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), version);
}

#[test]
fn completions_and_manual_pages_know_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = String::from_utf8(run(&["completions", shell], "").stdout).unwrap();
        for name in COMMANDS {
            assert!(script.contains(name), "{shell}: {name}");
        }
    }
    let page = String::from_utf8(run(&["man"], "").stdout).unwrap();
    assert!(page.contains(".TH causeway 1"), "{page}");
    for name in COMMANDS {
        assert!(
            page.contains(&format!("causeway\\-{name}")),
            "{name}: {page}"
        );
        let page = String::from_utf8(run(&["man", name], "").stdout).unwrap();
        assert!(page.contains(&format!(".TH causeway-{name} 1")), "{page}");
    }
}

#[test]
fn bash_takes_the_completions() {
    let script = run(&["completions", "bash"], "").stdout;
    let home = Home::new();
    let path = home.path().join("completions");
    std::fs::write(&path, script).unwrap();

    let line = format!(
        "source {}; COMP_WORDS=(causeway se); COMP_CWORD=1; _causeway causeway se causeway; echo \
         \"${{COMPREPLY[@]}}\"",
        path.display()
    );
    let output = Command::new("bash").args(["-c", &line]).output().unwrap();

    assert_eq!(String::from_utf8(output.stdout).unwrap(), "send\n");
}

/// The value and the source of a setting.
fn setting(
    home: &Home,
    variables: &[(&str, &str)],
    arguments: &[&str],
    name: &str,
) -> (Value, String) {
    let mut program = command(home);
    program.args(["config", "--json"]).args(arguments);
    program.envs(variables.iter().copied());
    let output = program.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let shown = String::from_utf8(output.stdout).unwrap();
    let mut all = shown
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let found = all.find(|setting| setting["setting"] == name).unwrap();
    let source = found["source"].as_str().unwrap().to_owned();
    (found["value"].clone(), source)
}

#[test]
fn the_command_line_wins_over_the_environment_and_that_over_the_file() {
    let home = Home::new();
    let folder = home.path().join(".config/causeway");
    std::fs::create_dir_all(&folder).unwrap();
    let file = "server = \"c.example\"\nuser = \"ann\"\ngroup = \"file\"\nno-failover = true\nca \
        = \"ca.pem\"\noutbox = \"none\"\ncolor = \"never\"\ntimeout = 5\n";
    std::fs::write(folder.join("config.toml"), file).unwrap();
    let from_file = |value: &str| {
        (
            Value::from(value),
            "~/.config/causeway/config.toml".to_owned(),
        )
    };

    assert_eq!(
        setting(&home, &[], &[], "server"),
        from_file("c.example:12000")
    );
    assert_eq!(setting(&home, &[], &[], "no-failover"), from_file("true"));
    assert_eq!(setting(&home, &[], &[], "timeout"), from_file("5"));
    assert_eq!(setting(&home, &[], &[], "color"), from_file("never"));
    let variables = [
        ("CAUSEWAY_SERVER", "d.example:1"),
        ("CAUSEWAY_USER", "bob"),
        ("CAUSEWAY_GROUP", "environment"),
        ("CAUSEWAY_NO_FAILOVER", "false"),
        ("CAUSEWAY_CA", "other.pem"),
        ("CAUSEWAY_OUTBOX", "box"),
        ("CAUSEWAY_COLOR", "always"),
        ("CAUSEWAY_TIMEOUT", "6"),
    ];
    for (variable, value) in variables {
        let name = variable
            .trim_start_matches("CAUSEWAY_")
            .to_lowercase()
            .replace('_', "-");
        let shown = setting(&home, &[(variable, value)], &[], &name);
        assert_eq!(shown, (Value::from(value), variable.to_owned()));
    }
    let given = setting(&home, &variables, &["--group", "line"], "group");
    assert_eq!(given, (Value::from("line"), "command line".to_owned()));
    let elsewhere = home.path().join("other.toml");
    std::fs::write(&elsewhere, "group = \"elsewhere\"\n").unwrap();
    let path = elsewhere.to_str().unwrap();
    let shown = setting(&home, &[("CAUSEWAY_CONFIG", path)], &[], "group");
    assert_eq!(shown, (Value::from("elsewhere"), "~/other.toml".to_owned()));
}

#[test]
fn settings_that_cannot_be_taken_are_told_with_their_file() {
    for (file, said) in [
        (
            "sever = \"x\"",
            "the settings ~/.config/causeway/config.toml have the unknown setting `sever`",
        ),
        (
            "server = ",
            "the settings ~/.config/causeway/config.toml cannot be read: line 1",
        ),
        (
            "timeout = \"soon\"",
            "invalid value 'soon' for '--timeout <SECONDS>'",
        ),
    ] {
        let home = Home::new();
        let folder = home.path().join(".config/causeway");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("config.toml"), file).unwrap();

        let output = run_at(&home, &["config"], b"");

        let sentence = String::from_utf8(output.stderr).unwrap();
        assert!(sentence.contains(said), "{sentence}");
        assert_eq!(output.status.code(), Some(2));
    }
}

#[test]
fn the_chat_begins_with_what_is_set_and_the_kept_login() {
    let (home, cluster) = (Home::new(), Cluster::default());
    let server = cluster.start(1);
    let login = ["login", "--user", "ann", "--server", &server.name()];
    assert!(run_at(&home, &login, b"").status.success());

    let output = run_at(&home, &["--group", "lobby"], b"a hi\n");

    assert!(output.status.success(), "{output:?}");
    assert_eq!(cluster.texts(), ["hi"]);
}

#[test]
fn a_group_that_is_set_asks_for_no_name() {
    let (home, cluster) = (Home::new(), Cluster::default());
    let server = cluster.start(1);
    let folder = home.path().join(".config/causeway");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("config.toml"), "group = \"lobby\"\n").unwrap();
    let name = server.name();

    let nobody = run_at(&home, &["--server", &name], b"u ann\n");
    let ann = run_at(&home, &["--server", &name, "--user", "ann"], b"a hi\n");

    assert!(nobody.status.success(), "{nobody:?}");
    assert!(ann.status.success(), "{ann:?}");
    assert_eq!(cluster.texts(), ["hi"]);
}
