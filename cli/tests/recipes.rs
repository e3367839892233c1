//! People (`just`), CI (`.ci/run`) and `./test` run the same commands.

use std::process::Command;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

fn read(name: &str) -> String {
    std::fs::read_to_string(format!("{ROOT}/{name}")).expect(name)
}

/// The recipes of the justfile: name and commands.
fn recipes() -> Vec<(String, Vec<String>)> {
    let mut recipes: Vec<(String, Vec<String>)> = Vec::new();
    for line in read("justfile").lines() {
        match (line.strip_suffix(':'), recipes.last_mut()) {
            (Some(name), _) if !line.starts_with(['#', ' ']) => {
                recipes.push((name.to_owned(), Vec::new()));
            }
            (_, Some((_, commands))) if line.starts_with(' ') => {
                commands.push(line.trim().to_owned());
            }
            _ => {}
        }
    }
    recipes
}

#[test]
fn every_step_of_the_tests_is_a_recipe() {
    let list = Command::new(format!("{ROOT}/test")).arg("--list").output().expect("./test");
    let steps = String::from_utf8(list.stdout).unwrap();
    let recipes = recipes();
    assert!(steps.split_whitespace().count() >= 5, "steps: {steps}");
    for step in steps.split_whitespace() {
        let recipe = recipes.iter().find(|(name, _)| name == step);
        let (_, commands) = recipe.unwrap_or_else(|| panic!("no recipe for ./test {step}"));
        assert_eq!(commands, &[format!("./test {step}")]);
    }
}

#[test]
fn slow_steps_are_recipes_but_no_part_of_ci() {
    let recipe = recipes().into_iter().find(|(name, _)| name == "real").expect("a recipe real");
    assert_eq!(recipe.1, ["./test real"]);
    let list = Command::new(format!("{ROOT}/test")).arg("--list").output().expect("./test");
    let steps = String::from_utf8(list.stdout).unwrap();
    assert!(!steps.split_whitespace().any(|step| step == "real"), "steps: {steps}");
}

#[test]
fn the_soak_is_a_recipe_of_its_own() {
    let recipe = recipes().into_iter().find(|(name, _)| name == "soak").expect("a recipe soak");
    assert_eq!(recipe.1, ["cargo run --release -p wfaas-benches -- soak"]);
}

#[test]
fn the_numbers_of_the_page_on_bounds_checks_are_one_recipe() {
    let recipe = recipes().into_iter().find(|(name, _)| name == "bounds").expect("a recipe bounds");
    let [command] = &recipe.1[..] else { panic!("one command: {:?}", recipe.1) };
    assert!(command.contains("wfaas-benches -- bounds "), "{command}");
    assert!(command.ends_with(" --write docs"), "{command}");
}

#[test]
fn ci_is_the_tests_and_nothing_else() {
    let ci = recipes().into_iter().find(|(name, _)| name == "ci").expect("a recipe ci");
    assert_eq!(ci.1, [".ci/run"]);
    assert_eq!(read(".ci/run").lines().last(), Some("./test"));
}
