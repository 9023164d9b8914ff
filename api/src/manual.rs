//! The manual pages and the completions for shells, made from the command line's own definition, so
//! that neither can differ from it. Called by `causeway-server man` and `completions` when a package
//! is built.

use std::io;

use clap_complete::Shell;

use crate::failure::UserError;

/// Prints what completes this command line in a shell.
pub fn completions(mut program: clap::Command, shell: Shell) {
    let name = program.get_name().to_owned();
    clap_complete::generate(shell, &mut program, name, &mut io::stdout());
}

/// Prints the manual page of the program or, where one is named, of a command.
pub fn page(mut program: clap::Command, command: Option<&str>) -> anyhow::Result<()> {
    program.build();
    let page = match command {
        None => clap_mangen::Man::new(program),
        Some(name) => {
            let found = program.find_subcommand(name).cloned();
            let title = format!("{}-{name}", program.get_name());
            let found = found.ok_or_else(|| {
                UserError(format!("there is no command `{name}`; --help lists them"))
            })?;
            clap_mangen::Man::new(found).title(title)
        }
    };
    Ok(page.render(&mut io::stdout())?)
}
