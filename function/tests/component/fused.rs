//! Fused modules by hand: WebAssembly text, and the bindings that go with it.

use wfaas_function::{Function, Spec};
use wfaas_vm::component::{
    Bindings, Case, Export, FunctionIndex, FunctionName, Import, ImportKind, Param, Resource,
    ResourceIndex, StringEncoding, Type, TypeIndex,
};
use wfaas_vm::{Config, Engine, Module};

/// A module that a component could have been fused to.
#[derive(Default)]
pub(crate) struct Fused {
    bindings: Bindings,
    imports: String,
    body: String,
    /// The name and the core type of each import.
    pub(crate) cores: Vec<(String, String)>,
}

impl Fused {
    /// A type.
    pub(crate) fn ty(&mut self, ty: Type) -> TypeIndex {
        self.bindings.types.push(ty);
        TypeIndex(self.bindings.types.len() as u32 - 1)
    }

    /// A resource of the host's.
    pub(crate) fn resource(&mut self, interface: &str, name: &str) -> ResourceIndex {
        let (interface, name) = (interface.to_owned(), name.to_owned());
        self.bindings.resources.push(Resource::Imported { interface, name });
        ResourceIndex(self.bindings.resources.len() as u32 - 1)
    }

    pub(crate) fn own(&mut self, resource: ResourceIndex) -> TypeIndex {
        self.ty(Type::Own(resource))
    }

    pub(crate) fn borrow(&mut self, resource: ResourceIndex) -> TypeIndex {
        self.ty(Type::Borrow(resource))
    }

    pub(crate) fn result(&mut self, ok: Option<TypeIndex>, err: Option<TypeIndex>) -> TypeIndex {
        self.ty(Type::Result { ok, err })
    }

    /// `stream-error`
    pub(crate) fn stream_error(&mut self) -> TypeIndex {
        let error = self.resource("wasi:io/error@0.2.6", "error");
        let error = self.own(error);
        let case = |name: &str, ty| Case { name: name.to_owned(), ty };
        self.ty(Type::Variant(vec![
            case("last-operation-failed", Some(error)),
            case("closed", None),
        ]))
    }

    fn function(&mut self, params: &[TypeIndex], result: Option<TypeIndex>) -> FunctionIndex {
        let param = |ty: &TypeIndex| Param { name: "p".to_owned(), ty: *ty };
        let params = params.iter().map(param).collect();
        let function = wfaas_vm::component::Function { params, result, is_async: false };
        self.bindings.functions.push(function);
        FunctionIndex(self.bindings.functions.len() as u32 - 1)
    }

    fn add(&mut self, module: &str, field: &str, id: &str, core: &str, kind: ImportKind) {
        self.imports += &format!("(import \"{module}\" \"{field}\" (func ${id} {core}))\n");
        self.cores.push((id.to_owned(), core.to_owned()));
        let (module, field) = (module.to_owned(), field.to_owned());
        self.bindings.imports.push(Import { module, field, kind, memory: 0 });
    }

    /// An import: a function of an interface, called `$id`, and its core type as text.
    pub(crate) fn import(
        &mut self,
        (interface, name): (&str, &str),
        (id, core): (&str, &str),
        params: &[TypeIndex],
        result: Option<TypeIndex>,
    ) {
        let ty = self.function(params, result);
        let kind = ImportKind::Lowered {
            name: FunctionName { interface: interface.to_owned(), name: name.to_owned() },
            ty,
            encoding: StringEncoding::Utf8,
            realloc: core.ends_with("(result i64)"),
            is_async: false,
        };
        self.add(interface, name, id, core, kind);
    }

    /// The host's side of a stub's loop, as `$next`.
    pub(crate) fn realloc_next(&mut self) {
        let core = "(param i32) (result i64)";
        self.add("canon", "realloc", "next", core, ImportKind::ReallocNext);
    }

    /// `resource.drop`, as `$id`.
    pub(crate) fn resource_drop(&mut self, id: &str, resource: ResourceIndex) {
        self.add("canon", id, id, "(param i32)", ImportKind::ResourceDrop(resource));
    }

    /// A lifted function, of a core export.
    pub(crate) fn export(
        &mut self,
        (interface, name): (&str, &str),
        core: &str,
        params: &[TypeIndex],
        result: Option<TypeIndex>,
    ) {
        let ty = self.function(params, result);
        self.bindings.exports.push(Export {
            name: FunctionName { interface: interface.to_owned(), name: name.to_owned() },
            ty,
            core: core.to_owned(),
            encoding: StringEncoding::Utf8,
            realloc: None,
            post_return: None,
            callback: None,
        });
    }

    /// The rest of the module. It has a memory, and `$realloc` with a block for each call.
    pub(crate) fn body(&mut self, wat: &str) {
        self.body += wat;
    }

    pub(crate) fn artifact(&self) -> Vec<u8> {
        let wat = format!(
            "(module {} (memory (export \"memory\") 2)
                (global $end (mut i32) (i32.const 65536))
                (func $realloc (param $size i32) (param $align i32) (result i32)
                    (global.set $end (i32.and
                        (i32.add (global.get $end) (i32.sub (local.get $align) (i32.const 1)))
                        (i32.sub (i32.const 0) (local.get $align))))
                    (global.get $end)
                    (global.set $end (i32.add (global.get $end) (local.get $size))))
                {})",
            self.imports, self.body
        );
        let component = self.bindings.encode().expect("small");
        let options =
            wfaas_compiler::Options { component: &component, ..wfaas_compiler::Options::default() };
        wfaas_compiler::compile(wat.as_bytes(), &options).expect("it compiles").artifact
    }

    pub(crate) fn function_with(&self, spec: Spec) -> Function {
        let engine = Engine::new(Config::default()).expect("an engine");
        let module = Module::from_bytes(&engine, &self.artifact()).expect("it loads");
        Function::new(&engine, &module, spec).expect("it is a function")
    }

    pub(crate) fn try_function(&self) -> Result<Function, wfaas_function::FunctionError> {
        let engine = Engine::new(Config::default()).expect("an engine");
        let module = Module::from_bytes(&engine, &self.artifact()).expect("it loads");
        Function::new(&engine, &module, Spec::named("test".parse().expect("a name")))
    }
}

/// Text of a loop that does for a lowered import what a stub does; the first request is on the stack.
pub(crate) const STUB: &str = "
    (local.set $request)
    (block $done (loop $more
        (br_if $done (i64.eqz (local.get $request)))
        (local.set $request (call $next (call $realloc
            (i32.wrap_i64 (local.get $request))
            (i32.wrap_i64 (i64.shr_u (local.get $request) (i64.const 32))))))
        (br $more)))";
