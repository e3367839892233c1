"""Runs a command of WASI preview1 on Wasmtime: peer.py MODULE DIRECTORY ARGUMENTS...

The guest finds DIRECTORY as /work, and has this process's streams; its exit code is this one's.
"""

import sys

import wasmtime

module, directory, *arguments = sys.argv[1:]
config = wasmtime.Config()
config.wasm_exceptions = True
engine = wasmtime.Engine(config)
wasi = wasmtime.WasiConfig()
wasi.argv = ["guest", *arguments]
wasi.preopen_dir(directory, "/work")
wasi.inherit_stdin()
wasi.inherit_stdout()
wasi.inherit_stderr()
store = wasmtime.Store(engine)
store.set_wasi(wasi)
linker = wasmtime.Linker(engine)
linker.define_wasi()
instance = linker.instantiate(store, wasmtime.Module.from_file(engine, module))
try:
    instance.exports(store)["_start"](store)
except wasmtime.ExitTrap as exit:
    sys.exit(exit.code)
