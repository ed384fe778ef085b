//! `concord init`: writes a commented configuration.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;

use super::{CommandError, Outcome};
use crate::cli::InitArgs;
use crate::config::{Address, Config};
use transaction::RegionName;

/// Writes the file, unless there is one.
pub(crate) fn execute(args: &InitArgs) -> Outcome {
    let refuse = |text: String| Err(CommandError::Refused(text));
    let text = render(args)?;
    // What is written must be what `run` takes; a name that the configuration refuses is found here.
    Config::parse(&text, &args.out)?;

    let shown = args.out.display();
    let file = std::fs::OpenOptions::new().write(true).create_new(true).open(&args.out);
    let mut file = match file {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
            return refuse(format!(
                "{shown} is there already and stays as it is; move it away or choose another --out"
            ));
        }
        Err(e) => return refuse(format!("cannot write {shown}: {e}; choose another --out")),
    };
    if let Err(e) = file.write_all(text.as_bytes()).and_then(|()| file.sync_all()) {
        return refuse(format!("cannot write {shown}: {e}; make room, remove the file and try again"));
    }
    println!("{shown} is written. Next:");
    println!("  1. correct the addresses in it; [mesh] must be the same in every region");
    println!("  2. concord certs --out certs {}", names(args).join(" "));
    println!("  3. concord grants, run in MySQL by an administrator");
    println!("  4. concord check, then concord run");
    Ok(ExitCode::SUCCESS)
}

/// Names of all regions, sorted.
fn names(args: &InitArgs) -> Vec<&str> {
    let mut names: Vec<&str> = args.peers.iter().map(|(name, _)| name.as_str()).collect();
    names.push(args.region.as_str());
    names.sort_unstable();
    names
}

/// The whole file as text.
fn render(args: &InitArgs) -> Result<String, CommandError> {
    let own = match &args.link {
        Some(link) => link.clone(),
        None => format!("{}.example:7400", args.region)
            .parse()
            .map_err(|e| CommandError::Refused(format!("{e}")))?,
    };
    let mut regions: BTreeMap<RegionName, &Address> = BTreeMap::from([(args.region, &own)]);
    for (name, address) in &args.peers {
        if regions.insert(*name, address).is_some() {
            return Err(CommandError::Refused(format!(
                "region {name} is named twice; name each region once"
            )));
        }
    }
    let mut sections = String::new();
    for (name, address) in &regions {
        let whose = if *name == args.region { "this region" } else { "a peer" };
        sections.push_str(&format!(
            "[mesh.regions.{name}]            # {whose}\n\
             link = \"{address}\"    # where the others reach its link\n\
             writes = true                # false: no clients write there, and a local write halts it\n\
             lost = false                 # true: given up, so that the others do not wait for it; see the runbook first\n\n"
        ));
    }
    Ok(include_str!("init.toml")
        .replace("@MESH@", &args.mesh_name.replace(['"', '\\', '\n'], "?"))
        .replace("@REGIONS@", sections.trim_end())
        .replace("@REGION@", args.region.as_str()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;

    fn args(out: PathBuf) -> InitArgs {
        InitArgs {
            region: "eu".parse().unwrap(),
            peers: vec![
                ("us".parse().unwrap(), "us.example:7400".parse().unwrap()),
                ("ap".parse().unwrap(), "ap.example:7401".parse().unwrap()),
            ],
            mesh_name: "shop".to_owned(),
            link: None,
            out,
        }
    }

    #[test]
    fn what_is_written_is_a_valid_configuration_with_the_defaults() {
        let text = render(&args(PathBuf::new())).unwrap();
        let config = Config::parse(&text, Path::new("concord.toml")).unwrap();
        assert_eq!(config.region.name.as_str(), "eu");
        assert_eq!(config.peers().map(|(name, _)| name.to_string()).collect::<Vec<_>>(), ["ap", "us"]);
        assert_eq!(config.own().link.to_string(), "eu.example:7400");
        assert!(config.region.link.tls_files().is_some());

        // A file without any optional key means the same.
        let short = r#"
            mesh = { name = "shop", regions.eu.link = "eu.example:7400",
                     regions.us.link = "us.example:7400", regions.ap.link = "ap.example:7401" }
            region = { name = "eu", link = { ca = "certs/ca.pem", cert = "certs/eu.pem", key = "certs/eu.key" } }
        "#;
        let short = Config::parse(short, Path::new("concord.toml")).unwrap();
        assert_eq!(format!("{config:?}"), format!("{short:?}"));
    }

    #[test]
    fn the_keys_that_it_offers_as_comments_are_known_too() {
        let text = render(&args(PathBuf::new())).unwrap();
        let offered: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("#? ")).collect();
        assert!(offered.len() >= 2, "{offered:?}");
        for key in offered {
            let with =
                text.replace(&format!("#? {key}"), key).replace("tls = \"preferred\"", "tls = \"verify\"");
            Config::parse(&with, Path::new("concord.toml")).expect(key);
        }
    }

    #[test]
    fn the_policies_that_it_offers_as_an_example_are_taken() {
        let text = render(&args(PathBuf::new())).unwrap();
        let with = text.replace("\n#+", "\n");
        let config = Config::parse(&with, Path::new("concord.toml")).unwrap();
        let names: Vec<_> = config.mesh.policies.rules().iter().map(ToString::to_string).collect();
        assert_eq!(names, ["policy 1 (columns)", "policy 2 (region-owned)", "policy 3 (last-writer-wins)"]);
        // Each key of a policy is explained somewhere in the example.
        let wrong = with.replacen("\n [[mesh.policy]]", "\n[[mesh.policy]]\nzzzzzzzzzzzz = 1", 1);
        let message = Config::parse(&wrong, Path::new("concord.toml")).unwrap_err().to_string();
        let known = message.split("known here: ").nth(1).unwrap_or_else(|| panic!("{message}"));
        for key in known.split(", ") {
            let explained = |line: &str| line.starts_with("#+ ") && line.contains(&format!(" {key} = "));
            assert!(text.lines().any(explained), "mesh.policy.{key} is not explained");
        }
    }

    #[test]
    fn the_filter_and_the_ddl_policy_that_it_offers_as_examples_are_taken() {
        let text = render(&args(PathBuf::new())).unwrap().replace("\n#~", "\n");
        let refused = Config::parse(&text, Path::new("concord.toml")).unwrap_err().to_string();
        assert!(refused.contains("clients write in this region"), "{refused}");
        // The second of the regions, by name, is eu.
        let mut parts: Vec<&str> = text.split("writes = true ").collect();
        let rest = parts.split_off(2).join("writes = true ");
        let config = Config::parse(
            &format!("{}writes = false {rest}", parts.join("writes = true ")),
            Path::new("concord.toml"),
        );
        let config = config.unwrap();
        assert_eq!(config.region.filter.0.of("shop", "customers").unwrap().mask.len(), 3);
        assert_eq!(config.mesh.ddl.of("shop", "tmp_1"), applier::ddl::DdlPolicy::Ignore);
    }

    #[test]
    fn every_known_key_is_explained() {
        let text = render(&args(PathBuf::new())).unwrap();
        let mut sections = 0;
        for section in [
            "mesh",
            "mesh.regions.eu",
            "region",
            "region.mysql",
            "region.link",
            "region.http",
            "region.log",
            "region.journal",
            "region.apply",
        ] {
            // The refusal of an unknown key lists the known ones.
            let header = format!("\n[{section}]");
            assert!(text.contains(&header), "{header}");
            let wrong = text.replacen(&header, &format!("{header}\nzzzzzzzzzzzz = 1\n#"), 1);
            let message = Config::parse(&wrong, Path::new("concord.toml")).unwrap_err().to_string();
            let known = message.split("known here: ").nth(1).unwrap_or_else(|| panic!("{message}"));
            let body = text.split(&header).nth(1).unwrap().split("\n[").next().unwrap();
            for key in known.split(", ") {
                let is_table = text.contains(&format!("[{section}.{key}"));
                let explained = body.lines().any(|line| {
                    line.trim_start_matches("#? ")
                        .strip_prefix(key)
                        .is_some_and(|rest| rest.trim_start().starts_with('='))
                });
                assert!(is_table || explained, "{section}.{key} is not explained");
            }
            sections += 1;
        }
        assert_eq!(sections, 9);
    }

    #[test]
    fn a_file_that_is_there_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("concord.toml");
        execute(&args(out.clone())).unwrap();
        std::fs::write(&out, "precious").unwrap();
        let message = execute(&args(out.clone())).unwrap_err().to_string();
        assert!(message.contains("is there already"), "{message}");
        assert_eq!(std::fs::read_to_string(&out).unwrap(), "precious");
    }

    #[test]
    fn a_region_named_twice_is_refused() {
        let mut twice = args(PathBuf::new());
        twice.peers.push(("eu".parse().unwrap(), "eu2.example:7400".parse().unwrap()));
        assert!(render(&twice).unwrap_err().to_string().contains("region eu is named twice"));
    }
}
