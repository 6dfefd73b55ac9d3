//! The property: whatever is built and edited, the cache is not seen in the result, and spares what it can.

use std::collections::HashSet;
use std::fs;

use rbuild_plan::{NoCache, Plan};

use crate::bases::Bases;
use crate::context::sync;
use crate::edits::Edit;
use crate::harness::Result;
use crate::machine::{Built, Machine, Project, directory, write_ignore};
use crate::oracle::Inputs;
use crate::render::{Rendered, render};
use crate::world::{Tree, World};

/// Builds `world`, and again after each edit; takes each edit back and makes it again.
pub(crate) fn holds(bases: &Bases, world: &World, edits: &[Edit], jobs: usize) -> Result {
    let mut story = Story::new(bases, jobs)?;
    let mut world = world.clone();
    let mut before = story.check(&world, &NoCache::None)?;
    for edit in edits {
        let mut edited = world.clone();
        edit.apply(&mut edited);
        let no_cache = match edit {
            Edit::Anew(None) => NoCache::All,
            Edit::Anew(Some(stage)) => {
                NoCache::Stages(vec![format!("s{}", stage.index(world.stages.len()))])
            }
            _ => NoCache::None,
        };
        let after = story
            .check(&edited, &no_cache)
            .map_err(|error| format!("after {edit:?}: {error}"))?;
        if edited == world {
            same(before.as_ref(), after.as_ref(), "built again")
                .map_err(|error| format!("after {edit:?}: {error}"))?;
        }
        story.repeat(&world, before.as_ref(), "the edit taken back")?;
        story.repeat(&edited, after.as_ref(), "the edit made again")?;
        world = edited;
        before = after;
    }
    let damages = story.cached.store.check(&|_| {})?.damages;
    if !damages.is_empty() {
        return Err(format!("the store is damaged: {damages:?}").into());
    }
    Ok(())
}

/// A project and the machine that builds it again and again.
struct Story<'a> {
    bases: &'a Bases,
    cached: Machine,
    contexts: tempfile::TempDir,
    on_disk: (Tree, Tree),
    /// The inputs of all steps that were ever done.
    done: HashSet<String>,
}

impl<'a> Story<'a> {
    fn new(bases: &'a Bases, jobs: usize) -> Result<Self> {
        let contexts = directory()?;
        for name in ["main", "extra"] {
            fs::create_dir(contexts.path().join(name))?;
        }
        Ok(Self {
            bases,
            cached: Machine::new(jobs)?,
            contexts,
            on_disk: (Tree::new(), Tree::new()),
            done: HashSet::new(),
        })
    }

    /// Builds here and on an empty machine, and compares.
    fn check(&mut self, world: &World, no_cache: &NoCache) -> Result<Option<Built>> {
        self.write(world)?;
        let rendered = render(world);
        let told = |what: String| format!("{what}\n--- Dockerfile\n{}", rendered.text);
        let (plan, built) = match self.build(&self.cached, world, &rendered, no_cache) {
            Ok(built) => built,
            // What cannot be planned has no cache.
            Err(error) if error.is::<rbuild_plan::PlanError>() => return Ok(None),
            Err(error) => return Err(told(format!("the build: {error}")).into()),
        };
        let clean_machine = Machine::new(4)?;
        let (_, clean) = self.build(&clean_machine, world, &rendered, no_cache)?;
        if std::env::var_os("RBUILD_MODEL_TELL").is_some() {
            eprintln!(
                "{:?} {:?}",
                built.as_ref().map(|b| b.executed.len()),
                built.as_ref().err()
            );
        }
        let (built, clean) = match (built, clean) {
            (Ok(built), Ok(clean)) => (built, clean),
            (Err(_), Err(_)) => return Ok(None),
            (Err(error), Ok(_)) => {
                return Err(told(format!("only the cached build fails: {error}")).into());
            }
            (Ok(_), Err(error)) => {
                return Err(told(format!("only the clean build fails: {error}")).into());
            }
        };
        equal(&plan, &built, &clean).map_err(told)?;
        let inputs = Inputs {
            world,
            rendered: &rendered,
            plan: &plan,
            clean: &clean,
            machine: &clean_machine,
        };
        for vertex in plan.vertices() {
            let Some(words) = inputs.of(vertex)? else {
                continue;
            };
            let is_known = !self.done.insert(words.clone());
            let is_refused = plan.vertex(vertex).cache_use == rbuild_plan::CacheUse::Refused;
            if built.executed.contains(&vertex) && is_known && !is_refused {
                let name = &plan.vertex(vertex).name;
                return Err(told(format!("{name} ran again; its inputs:\n{words}")).into());
            }
        }
        Ok(Some(built))
    }

    /// Builds what was built before, as `before`: nothing may run.
    fn repeat(&mut self, world: &World, before: Option<&Built>, what: &str) -> Result {
        let Some(before) = before else { return Ok(()) };
        self.write(world)?;
        let rendered = render(world);
        let told = |what: String| format!("{what}\n--- Dockerfile\n{}", rendered.text);
        let (plan, built) = self.build(&self.cached, world, &rendered, &NoCache::None)?;
        let built = built.map_err(told)?;
        if !built.executed.is_empty() {
            let ran: Vec<&str> = built
                .executed
                .iter()
                .map(|id| plan.vertex(*id).name.as_str())
                .collect();
            return Err(told(format!("{what}, and these ran: {ran:?}")).into());
        }
        if built.own != before.own {
            let (was, is) = (&before.own, &built.own);
            return Err(told(format!("{what}, and the image is another:\n{was}\n{is}")).into());
        }
        Ok(())
    }

    fn build(
        &self,
        machine: &Machine,
        world: &World,
        rendered: &Rendered,
        no_cache: &NoCache,
    ) -> Result<(Plan, std::result::Result<Built, String>)> {
        let project = Project {
            main: &self.contexts.path().join("main"),
            extra: &self.contexts.path().join("extra"),
            world,
            rendered,
            no_cache: no_cache.clone(),
        };
        let plan = project.plan(&self.bases.shelf(world.base))?;
        let built = machine.build(&plan, &project)?;
        Ok((plan, built))
    }

    fn write(&mut self, world: &World) -> Result {
        let main = self.contexts.path().join("main");
        sync(&main, &self.on_disk.0, &world.files)?;
        sync(
            &self.contexts.path().join("extra"),
            &self.on_disk.1,
            &world.extra,
        )?;
        write_ignore(&main, world)?;
        self.on_disk = (world.files.clone(), world.extra.clone());
        Ok(())
    }
}

/// Nothing tells the cached build from the clean one.
fn equal(plan: &Plan, cached: &Built, clean: &Built) -> std::result::Result<(), String> {
    for vertex in plan.vertices() {
        let name = &plan.vertex(vertex).name;
        let (one, other) = (cached.stacks.get(&vertex), clean.stacks.get(&vertex));
        for (one, other) in one.into_iter().flatten().zip(other.into_iter().flatten()) {
            let (held, due) = (cached.layers.get(one), clean.layers.get(other));
            if held != due {
                return Err(format!(
                    "{name} gave a layer\n{}\nand should have given\n{}",
                    held.map_or("", String::as_str),
                    due.map_or("", String::as_str)
                ));
            }
        }
        if one != other {
            return Err(format!(
                "{name} gave {one:?} and should have given {other:?}"
            ));
        }
    }
    if cached.dated != clean.dated {
        return Err(format!(
            "the config is\n{}\nand should be\n{}",
            cached.dated, clean.dated
        ));
    }
    Ok(())
}

/// A step that ran again gave what was there.
fn same(before: Option<&Built>, after: Option<&Built>, what: &str) -> Result {
    match (before, after) {
        (Some(before), Some(after)) if before.own != after.own => Err(format!(
            "{what}, the image is another:\n{}\n{}",
            before.own, after.own
        )
        .into()),
        _ => Ok(()),
    }
}
