//! The test hub as a program: for demonstrations, scripts and other clients.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use hfdl_test_hub::{TestHub, fill_from_directory, fill_with_demo};

const HELP: &str = "\
A Hugging Face Hub on 127.0.0.1, for trying things out without the network

Usage: hfdl-test-hub [OPTIONS] (--demo | --dir DIR)

Options:
      --demo           Serve the model acme/tiny, the dataset acme/corpus and the space acme/app
      --dir DIR        Serve the repositories in DIR, laid out as
                         DIR/models/ORG/NAME/REVISION/files...
                       and likewise datasets/, spaces/ and kernels/. REVISION is a branch, or a full
                       ref with `/` written as `%2F`: refs%2Fpr%2F1, refs%2Ftags%2Fv1.
                       Large (LFS) files are those of 1 MiB or more, and those that match
                       an LFS line of the .gitattributes at the top of the revision
      --xet            Also keep the large files of DIR in Xet storage served by this hub
      --cas-url URL    Refer clients to this Xet storage, which must have the files of DIR
      --no-rate-limits Leave out how many requests are left, for which clients wait now and then
      --port P         Port of the Hub [default: a free port]
      --cdn-port P     Port of the CDN, which serves large files [default: a free port]
      --ready-file F   Write the URL to F as soon as the hub accepts requests
  -h, --help           Print help

stdout has only the URL, which is the value for HF_ENDPOINT.
`curl -X POST URL/__hub__/publish` publishes the changes in DIR, or with --demo a
new revision of acme/tiny. `curl URL/__hub__/requests` lists the requests so far,
one per line: port (hub or cdn), method, target, status.

`curl -X POST 'URL/__hub__/fault?slow=200000'` makes the line slow, and
`...fault?cut=100000&times=3` closes three connections early. `curl URL/__hub__/`
lists all faults; `curl -X POST URL/__hub__/heal` ends them.
";

fn main() -> ExitCode {
    match Options::parse(std::env::args().skip(1)).and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            // With a closed stderr there is no place to report the error.
            let _ = writeln!(io::stderr(), "error: {message}");
            ExitCode::from(2)
        }
    }
}

#[derive(Default)]
struct Options {
    help: bool,
    demo: bool,
    directory: Option<PathBuf>,
    xet: bool,
    cas_url: Option<String>,
    no_rate_limits: bool,
    port: u16,
    cdn_port: u16,
    ready_file: Option<PathBuf>,
}

impl Options {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self::default();
        while let Some(word) = words.next() {
            let mut value = || {
                words
                    .next()
                    .ok_or_else(|| format!("`{word}` needs a value"))
            };
            match word.as_str() {
                "-h" | "--help" => options.help = true,
                "--demo" => options.demo = true,
                "--dir" => options.directory = Some(value()?.into()),
                "--xet" => options.xet = true,
                "--cas-url" => options.cas_url = Some(value()?),
                "--no-rate-limits" => options.no_rate_limits = true,
                "--port" => options.port = port(&value()?)?,
                "--cdn-port" => options.cdn_port = port(&value()?)?,
                "--ready-file" => options.ready_file = Some(value()?.into()),
                _ => return Err(format!("unknown option `{word}`; see `--help`")),
            }
        }
        if !options.help && options.demo == options.directory.is_some() {
            return Err("give either `--demo` or `--dir DIR`; see `--help`".to_owned());
        }
        Ok(options)
    }
}

fn port(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| format!("`{text}` is not a port"))
}

fn run(options: Options) -> Result<(), String> {
    if options.help {
        return print(io::stdout(), HELP);
    }
    let builder = TestHub::builder()
        .port(options.port)
        .cdn_port(options.cdn_port);
    let hub = builder
        .try_start()
        .map_err(|err| format!("cannot listen: {err}"))?;
    if options.no_rate_limits {
        hub.configure(|settings| settings.rate_limits = false);
    }
    if options.xet || options.cas_url.is_some() {
        hub.serve_xet();
    }
    if let Some(url) = options.cas_url {
        hub.configure(|settings| {
            if let Some(xet) = &mut settings.xet {
                xet.cas_url = url;
            }
        });
    }
    let contents = match options.directory {
        None => fill_with_demo(&hub),
        Some(directory) => serve_directory(&hub, &directory)?,
    };
    let url = hub.endpoint();
    print(io::stdout(), &format!("{url}\n"))?;
    print(
        io::stderr(),
        &format!(
            "\nRepositories:\n{}\nUse it:                  export HF_ENDPOINT={url}\n\
             Publish a new revision:  curl -X POST {url}/__hub__/publish\n\
             Slow line, faults:       curl {url}/__hub__/\n\
             Stop it:                 Ctrl-C\n",
            contents
                .iter()
                .map(|line| format!("    {line}\n"))
                .collect::<String>()
        ),
    )?;
    if let Some(path) = options.ready_file {
        // Rename into place: a script that waits for the file must not read a part of it.
        let unfinished = path.with_extension("unfinished");
        std::fs::write(&unfinished, format!("{url}\n"))
            .and_then(|()| std::fs::rename(&unfinished, &path))
            .map_err(|err| format!("cannot write `{}`: {err}", path.display()))?;
    }
    loop {
        std::thread::park();
    }
}

fn serve_directory(hub: &TestHub, directory: &Path) -> Result<Vec<String>, String> {
    let contents = fill_from_directory(hub, directory)
        .map_err(|err| format!("cannot read `{}`: {err}", directory.display()))?;
    if contents.is_empty() {
        return Err("the directory has no repositories; see `--help` for its layout".to_owned());
    }
    Ok(contents)
}

fn print(mut stream: impl Write, text: &str) -> Result<(), String> {
    let result = stream
        .write_all(text.as_bytes())
        .and_then(|()| stream.flush());
    match result {
        // A closed pipe is not an error.
        Err(err) if err.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(|err| err.to_string()),
    }
}
