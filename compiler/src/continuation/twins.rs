//! Generating the code that continues a program.

use super::plan::Layouts;
use super::{Purpose, RecordLayout, Twin, records};
use crate::CompileError;
use crate::code::Code;
use crate::emit::{Storage, Version};
use crate::front::index::FuncIndex;
use crate::front::parse::Body;
use crate::generate::{Generator, Worker, too_many_values};
use crate::inline::{Callees, Positions};
use crate::symbol::Symbol;
use crate::{Effort, passes};
use rayon::prelude::*;
use wfaas_abi::BoundsStats;

/// The code of a twin, and the layouts of its records.
type Generated = (Code, Vec<RecordLayout>);

impl Generator<'_> {
    /// The pieces that continue a program that waits, if that is the purpose: the one that is called,
    /// twins, and the records.
    pub(crate) fn continued(
        &self,
        bodies: &[Body<'_>],
        callees: &Callees,
    ) -> Result<Vec<Code>, CompileError> {
        let Purpose::Continued(plan) = self.purpose else { return Ok(Vec::new()) };
        let imported = self.module.counts.funcs;
        let generate = |worker: &mut Worker, (function, twin): (&FuncIndex, &Twin)| {
            let body = bodies[(function.as_u32() - imported) as usize].clone();
            Ok((*function, self.twin(worker, body, twin, callees)?))
        };
        let twins = plan.twins.par_iter().map_init(Worker::new, generate);
        let twins: Vec<Result<(FuncIndex, Generated), CompileError>> = twins.collect();
        let imports = plan.imports.iter().map(|import| Symbol::Twin(*import));
        let pieces: Vec<Symbol> = [Symbol::Continue(plan.ty)].into_iter().chain(imports).collect();
        let mut code = self.pieces(&pieces)?;
        let mut layouts = Layouts::new();
        for twin in twins {
            let (function, (piece, records)) = twin?;
            code.push(piece);
            layouts.insert(function, records);
        }
        code.push(records(self.module, plan, &layouts)?);
        Ok(code)
    }

    fn twin(
        &self,
        worker: &mut Worker,
        body: Body<'_>,
        twin: &Twin,
        callees: &Callees,
    ) -> Result<Generated, CompileError> {
        let symbol = Symbol::Twin(body.func());
        let in_frame = self.effort == Some(Effort::Frame);
        if !in_frame
            && let Some(stats) = self.translate_twin(worker, &body, twin, Storage::Variables)?
        {
            let positions = self.inline(worker, body.func(), callees)?;
            let records = std::mem::take(&mut worker.records);
            if let Some(compiled) = self.run(worker, symbol, self.effort)? {
                let code = self.collect(worker, symbol, compiled)?;
                return Ok((Code { stats, positions, ..code }, records));
            }
        }
        let stats = self.translate_twin(worker, &body, twin, Storage::Frame)?;
        let stats = stats.ok_or_else(too_many_values)?;
        let records = std::mem::take(&mut worker.records);
        let compiled = self.run(worker, symbol, self.effort)?.ok_or_else(too_many_values)?;
        let code = self.collect(worker, symbol, compiled)?;
        Ok((Code { stats, positions: Positions::of(body.func()), ..code }, records))
    }

    /// Translates a twin into the worker's context. `None` if there would be too many values.
    fn translate_twin(
        &self,
        worker: &mut Worker,
        body: &Body<'_>,
        twin: &Twin,
        storage: Storage,
    ) -> Result<Option<BoundsStats>, CompileError> {
        let symbol = Symbol::Twin(body.func());
        self.start(worker, symbol);
        let stats = self.translate_version(Version::Twin(twin), storage, worker, body.clone())?;
        if stats.is_some() {
            // Nothing leads to the beginning of the body.
            passes::reach(&mut worker.context, &*self.isas.usual)
                .map_err(|error| self.failed(symbol, error.to_string()))?;
        }
        Ok(stats)
    }

    /// Inlines functions that the twin of `function` calls, unless its values are in the frame.
    fn inline(
        &self,
        worker: &mut Worker,
        function: FuncIndex,
        callees: &Callees,
    ) -> Result<Positions, CompileError> {
        if worker.storage == Storage::Frame {
            return Ok(Positions::of(function));
        }
        crate::inline::run(&mut worker.context, function, callees)
            .map_err(|error| self.failed(Symbol::Twin(function), error.to_string()))
    }
}
