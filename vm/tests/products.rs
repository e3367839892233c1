//! Products of 128 bits that guests make of 32-bit halves, in every way that the compiler replaces
//! by one instruction, and in ways that only look alike.

mod common;
use common::{engine, module};
use proptest::prelude::*;
use std::fmt::Write;
use wfaas_vm::{Linker, Store};

/// One step of a function; numbers are the places of values, of which the first two are arguments.
#[derive(Debug, Clone, Copy)]
enum Step {
    Constant(u64),
    Low(usize),
    High(usize),
    Up(usize),
    Multiply(usize, usize),
    Add(usize, usize),
    Or(usize, usize),
    /// Whether the first is less than the second.
    Less(usize, usize),
    /// The same, written the other way round.
    Greater(usize, usize),
}

/// A function of two numbers that returns the values at two places.
#[derive(Debug, Clone)]
struct Program {
    steps: Vec<Step>,
    results: [usize; 2],
}

impl Program {
    fn step(&mut self, step: Step) -> usize {
        self.steps.push(step);
        self.steps.len() + 1
    }

    /// The sum of terms in some order.
    fn sum(&mut self, order: &mut Order, mut terms: Vec<usize>) -> usize {
        while terms.len() > 1 {
            let (one, other) = (order.take(&mut terms), order.take(&mut terms));
            let sum = self.step(Step::Add(one, other));
            terms.push(sum);
        }
        terms[0]
    }

    /// Whether one is less than the other.
    fn less(&mut self, order: &mut Order, one: usize, other: usize) -> usize {
        let less = [Step::Less, Step::Greater][order.below(2)];
        self.step(less(one, other))
    }

    fn wat(&self) -> String {
        let mut wat = "(module (func (export \"f\") (param i64 i64) (result i64 i64)".to_owned();
        let _ = write!(wat, " (local {})", "i64 ".repeat(self.steps.len()));
        for (place, step) in self.steps.iter().enumerate() {
            let get = |place: usize| format!("(local.get {place})");
            let value = match *step {
                Step::Constant(value) => format!("(i64.const {})", value.cast_signed()),
                Step::Low(of) => format!("(i64.and {} (i64.const 0xffffffff))", get(of)),
                Step::High(of) => format!("(i64.shr_u {} (i64.const 32))", get(of)),
                Step::Up(of) => format!("(i64.shl {} (i64.const 32))", get(of)),
                Step::Multiply(a, b) => format!("(i64.mul {} {})", get(a), get(b)),
                Step::Add(a, b) => format!("(i64.add {} {})", get(a), get(b)),
                Step::Or(a, b) => format!("(i64.or {} {})", get(a), get(b)),
                Step::Less(a, b) => {
                    format!("(i64.extend_i32_u (i64.lt_u {} {}))", get(a), get(b))
                }
                Step::Greater(a, b) => {
                    format!("(i64.extend_i32_u (i64.gt_u {} {}))", get(b), get(a))
                }
            };
            let _ = write!(wat, "\n(local.set {} {value})", place + 2);
        }
        let [low, high] = self.results;
        let _ = write!(wat, "\n(local.get {low}) (local.get {high})))");
        wat
    }

    /// What WebAssembly says that it returns.
    fn run(&self, a: u64, b: u64) -> (u64, u64) {
        let mut values = vec![a, b];
        for step in &self.steps {
            let at = |place: usize| values[place];
            values.push(match *step {
                Step::Constant(value) => value,
                Step::Low(of) => at(of) & 0xffff_ffff,
                Step::High(of) => at(of) >> 32,
                Step::Up(of) => at(of) << 32,
                Step::Multiply(a, b) => at(a).wrapping_mul(at(b)),
                Step::Add(a, b) => at(a).wrapping_add(at(b)),
                Step::Or(a, b) => at(a) | at(b),
                Step::Less(a, b) | Step::Greater(a, b) => u64::from(at(a) < at(b)),
            });
        }
        (values[self.results[0]], values[self.results[1]])
    }
}

/// Decides about the order of terms.
struct Order(u64);

impl Order {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (self.0 >> 33) as usize % limit
    }

    fn take(&mut self, terms: &mut Vec<usize>) -> usize {
        let place = self.below(terms.len());
        terms.swap_remove(place)
    }
}

/// How a product is written.
#[derive(Debug, Clone, Copy)]
struct Form {
    middle: Middle,
    /// Whether the low half is a sum of whole products; always if their carries are compared.
    whole: bool,
    /// What is multiplied by: the second argument, a constant, or the first argument itself.
    factor: Factor,
    /// How many other terms the high half is added to.
    others: usize,
    order: u64,
}

/// The sum of the products in the middle.
#[derive(Debug, Clone, Copy)]
enum Middle {
    /// Two, as in older releases of compiler-rt.
    TwoSums,
    OneSum,
    /// One that wraps around, as in later releases.
    Compared,
}

#[derive(Debug, Clone, Copy)]
enum Factor {
    Argument,
    Constant(u64),
    Square,
}

impl Form {
    /// The low and the high half of the product, the latter plus so many times the first argument.
    fn program(self) -> Program {
        let mut p = Program { steps: Vec::new(), results: [0, 0] };
        let mut order = Order(self.order);
        let (a0, a1) = (p.step(Step::Low(0)), p.step(Step::High(0)));
        let (b0, b1) = match self.factor {
            Factor::Argument => (p.step(Step::Low(1)), p.step(Step::High(1))),
            Factor::Constant(number) => {
                let low = p.step(Step::Constant(number & 0xffff_ffff));
                (low, p.step(Step::Constant(number >> 32)))
            }
            Factor::Square => (a0, a1),
        };
        let lower = p.step(Step::Multiply(a0, b0));
        let upper = p.step(Step::Multiply(b1, a1));
        let mut across = vec![p.step(Step::Multiply(a1, b0)), p.step(Step::Multiply(b1, a0))];
        let (x, y) = (order.take(&mut across), across[0]);
        let carry = p.step(Step::High(lower));
        let mut terms = vec![upper];
        let mut low = None;
        let middle = match self.middle {
            Middle::TwoSums => {
                let t = p.sum(&mut order, vec![x, carry]);
                let low = p.step(Step::Low(t));
                let u = p.sum(&mut order, vec![y, low]);
                terms.extend([p.step(Step::High(t)), p.step(Step::High(u))]);
                u
            }
            Middle::OneSum => {
                let (low, other) = (p.step(Step::Low(x)), p.step(Step::Low(y)));
                let m = p.sum(&mut order, vec![carry, low, other]);
                terms.extend([x, y, m].map(|of| p.step(Step::High(of))));
                m
            }
            Middle::Compared => {
                let t = p.sum(&mut order, vec![x, y]);
                let (up, upper) = (p.step(Step::Up(t)), p.step(Step::High(t)));
                let sum = p.sum(&mut order, vec![up, lower]);
                let c = p.less(&mut order, t, x);
                let c = p.step(Step::Up(c));
                terms.push(p.step(Step::Or(c, upper)));
                terms.push(p.less(&mut order, sum, lower));
                low = Some(sum);
                t
            }
        };
        terms.extend(std::iter::repeat_n(0, self.others));
        let high = p.sum(&mut order, terms);
        let low = if let Some(low) = low {
            low
        } else if self.whole {
            let sum = p.sum(&mut order, vec![x, y]);
            let up = p.step(Step::Up(sum));
            p.sum(&mut order, vec![up, lower])
        } else {
            let (up, low) = (p.step(Step::Up(middle)), p.step(Step::Low(lower)));
            p.step(Step::Or(low, up))
        };
        p.results = [low, high];
        p
    }
}

fn forms() -> impl Strategy<Value = Form> {
    let constant = prop_oneof![any::<u64>(), (1_u64 << 33)..1 << 34, Just(u64::MAX)];
    let factor = prop_oneof![
        Just(Factor::Argument),
        constant.prop_map(Factor::Constant),
        Just(Factor::Square)
    ];
    let middle = prop::sample::select(vec![Middle::TwoSums, Middle::OneSum, Middle::Compared]);
    (middle, any::<bool>(), factor, 0_usize..4, any::<u64>()).prop_map(
        |(middle, whole, factor, others, order)| Form { middle, whole, factor, others, order },
    )
}

fn numbers() -> impl Strategy<Value = u64> {
    let near = [0, 1, 1 << 31, 1 << 32, 1 << 63].map(|number: u64| number);
    let near = prop::sample::select(near.to_vec());
    prop_oneof![
        any::<u64>(),
        any::<u32>().prop_map(u64::from),
        (near, -2_i64..3).prop_map(|(near, off)| near.wrapping_add_signed(off)),
    ]
}

/// Compares what a program returns in the VM with what it should.
fn check(program: &Program, arguments: &[(u64, u64)]) {
    let engine = engine();
    let module = module(&engine, &program.wat());
    let mut store = Store::new(&engine, ());
    let instance = Linker::new(&engine).instantiate(&mut store, &module).unwrap();
    let f = instance.get_typed_func::<(i64, i64), (i64, i64)>(&mut store, "f").unwrap();
    for (a, b) in arguments {
        let (low, high) = f.call(&mut store, (a.cast_signed(), b.cast_signed())).unwrap();
        let ours = (low.cast_unsigned(), high.cast_unsigned());
        assert_eq!(ours, program.run(*a, *b), "{a:#x} * {b:#x}: {}", program.wat());
    }
}

/// How many instructions of the compiled program multiply.
fn multiplications(program: &Program) -> usize {
    let assembly =
        wfaas_compiler::assembly(program.wat().as_bytes(), 0, &Default::default()).unwrap();
    assembly.lines().filter(|line| line.contains("mul")).count()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// One multiplication is left, and it is right.
    #[test]
    fn products_become_one_instruction(
        form in forms(),
        arguments in prop::collection::vec((numbers(), numbers()), 20),
    ) {
        let program = form.program();
        for (a, b) in &arguments {
            let b = match form.factor {
                Factor::Argument => *b,
                Factor::Constant(number) => number,
                Factor::Square => *a,
            };
            let product = u128::from(*a) * u128::from(b);
            let high = ((product >> 64) as u64).wrapping_add(a.wrapping_mul(form.others as u64));
            prop_assert_eq!(program.run(*a, b), (product as u64, high));
        }
        check(&program, &arguments);
        if !matches!(form.factor, Factor::Constant(number) if number >> 32 < 2 || number << 32 >> 32 < 2) {
            prop_assert_eq!(multiplications(&program), 1, "{}", program.wat());
        }
    }

    /// A step that is another one makes it something else, which it stays.
    #[test]
    fn what_only_looks_alike_is_kept(
        form in forms(),
        arguments in prop::collection::vec((numbers(), numbers()), 20),
        at in any::<prop::sample::Index>(),
        kind in 0..9,
        operands in any::<[prop::sample::Index; 2]>(),
    ) {
        let mut program = form.program();
        let at = at.index(program.steps.len());
        let [one, other] = operands.map(|operand| operand.index(at + 2));
        program.steps[at] = match kind {
            0 => Step::Constant(other as u64),
            1 => Step::Low(one),
            2 => Step::High(one),
            3 => Step::Up(one),
            4 => Step::Multiply(one, other),
            5 => Step::Add(one, other),
            6 => Step::Or(one, other),
            7 => Step::Less(one, other),
            _ => Step::Greater(one, other),
        };
        check(&program, &arguments);
    }
}
