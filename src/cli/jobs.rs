//! `pillion jobs`: lists, shows, retries and cancels the jobs of asynchronous actions in the job store.

use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command};
use uuid::Uuid;

use crate::cli::{block_on, config_file, flag_of, report};
use crate::config::load::jobs_of;
use crate::config::units::parse_span;
use crate::jobs::Jobs;
use crate::jobs::job::{Filter, Requeued, Status, cancelled};
use crate::jobs::redact::{short, whole};

/// `jobs` for the command line; `configured` adds the settings to a command.
#[must_use]
pub(crate) fn command(configured: fn(Command) -> Command) -> Command {
    let by_id =
        |name, about| configured(Command::new(name).about(about).arg(Arg::new("id").value_name("ID").required(true)));
    let filtered = |name, about| {
        let command = Command::new(name).about(about);
        let command = command.arg(option("action", "NAME", "Of this action"));
        let command = command.arg(option("older-than", "TIME", "Stored at least so long ago: 30s, 5m, 24h"));
        configured(command.arg(option("limit", "NUMBER", "At most so many").default_value("100")))
    };
    let names = Status::ALL.map(Status::name);
    let status = option("status", "STATUS", "With this status").value_parser(names);
    let force = Arg::new("force").long("force").action(ArgAction::SetTrue);
    let force = force.help("Also one that is completed: its handler is called again, and its result is deleted");
    Command::new("jobs")
        .about("Looks into the job store of asynchronous actions, and changes what is in it.")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(filtered("list", "The newest calls, one line of JSON each").arg(status.clone()))
        .subcommand(by_id("show", "All that is stored of a call, but for its headers"))
        .subcommand(by_id("retry", "Lets a job that has failed run again").arg(force))
        .subcommand(by_id("cancel", "Ends a call that has not ended"))
        .subcommand(
            filtered("purge", "Deletes calls that have ended, the limit at a time, until none is left").arg(status),
        )
}

fn option(name: &'static str, kind: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(kind).help(help)
}

/// Runs it.
///
/// # Errors
/// What is wrong with the configuration, or with the store.
pub(crate) fn run(arguments: &ArgMatches) -> Result<(), String> {
    let Some((name, arguments)) = arguments.subcommand() else { return Ok(()) };
    let settings = jobs_of(config_file(arguments), &|setting| flag_of(arguments, setting));
    let settings = settings.map_err(|diagnostics| report(&diagnostics))?;
    let deadline = settings.deadline;
    let work = async {
        let jobs = Jobs::open(&settings, false).await?;
        match name {
            "list" => list(&jobs, arguments).await,
            "purge" => purge(&jobs, arguments).await,
            _ => {
                let id = arguments.get_one::<String>("id").map(String::as_str).unwrap_or_default();
                let id = Uuid::parse_str(id).map_err(|_| format!("{id} is not the id of a call"))?;
                match name {
                    "show" => show(&jobs, id).await,
                    "retry" => retry(&jobs, id, deadline, arguments.get_flag("force")).await,
                    _ => cancel(&jobs, id).await,
                }
            }
        }
    };
    block_on(work)?.map_err(|reason| format!("error: {reason}"))
}

async fn retry(jobs: &Jobs, id: Uuid, deadline: Duration, force: bool) -> Result<(), String> {
    match jobs.log.requeue(id, deadline, force).await.map_err(|error| error.to_string())? {
        Requeued::Done => println!("it runs again"),
        Requeued::IsCompleted => {
            return Err(
                "this job is completed: running it again calls its handler again and deletes its result\n  = help: \
                        add --force if that is meant"
                    .to_owned(),
            );
        }
        Requeued::NotEnded => return Err("no job of this id has ended".to_owned()),
    }
    Ok(())
}

async fn cancel(jobs: &Jobs, id: Uuid) -> Result<(), String> {
    if !jobs.log.cancel(id, &cancelled()).await.map_err(|error| error.to_string())? {
        return Err("no job of this id is under way".to_owned());
    }
    println!("it is cancelled");
    Ok(())
}

fn filter(arguments: &ArgMatches) -> Result<(Filter, usize), String> {
    let text = |name: &str| arguments.get_one::<String>(name);
    let older_than = text("older-than").map(|text| parse_span(text).ok_or(format!("--older-than: {text} is no time")));
    let limit = text("limit").and_then(|text| text.parse().ok()).ok_or("--limit: this is not a number")?;
    let status = text("status").and_then(|name| Status::of(name));
    Ok((Filter { action: text("action").cloned(), status, older_than: older_than.transpose()? }, limit))
}

async fn list(jobs: &Jobs, arguments: &ArgMatches) -> Result<(), String> {
    let (filter, limit) = filter(arguments)?;
    for job in jobs.log.list(&filter, limit).await.map_err(|error| error.to_string())? {
        println!("{}", short(&job));
    }
    Ok(())
}

async fn show(jobs: &Jobs, id: Uuid) -> Result<(), String> {
    let job = jobs.log.find(id).await.map_err(|error| error.to_string())?;
    let job = job.ok_or("there is no call of this id")?;
    println!("{:#}", whole(&job));
    Ok(())
}

async fn purge(jobs: &Jobs, arguments: &ArgMatches) -> Result<(), String> {
    let (filter, limit) = filter(arguments)?;
    let mut all = 0;
    loop {
        let count = jobs.log.purge(&filter, true, limit).await.map_err(|error| error.to_string())?;
        all += count;
        if count < limit as u64 {
            break;
        }
        // Others want to write, too.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("{all} deleted");
    Ok(())
}
