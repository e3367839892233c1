(component
    (import "test:host/texts@1.2.3" (instance $texts
        (export "get" (func (param "n" u32) (result string)))
        (export "put" (func (param "text" string)))))
    (core module $main
        (import "test:host/texts@1.2.3" "get" (func $get (param i32 i32)))
        (import "test:host/texts@1.2.3" "put" (func $put (param i32 i32)))
        (memory (export "memory") 1)
        (global $heap (mut i32) (i32.const 1024))
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
            (i32.store (i32.const 8) (i32.add (i32.load (i32.const 8)) (i32.const 1)))
            (i32.store (i32.const 12) (local.get 2))
            (global.get $heap)
            (global.set $heap (i32.add (global.get $heap) (local.get 3))))
        (func (export "run") (result i32)
            (call $get (i32.const 5) (i32.const 0))
            (call $put (i32.load (i32.const 0)) (i32.load (i32.const 4)))
            ;; calls of the allocator, and the alignment of the last
            (i32.add (i32.mul (i32.load (i32.const 8)) (i32.const 10)) (i32.load (i32.const 12)))))
    (core module $shim
        (type $two (func (param i32 i32)))
        (table (export "$imports") 2 2 funcref)
        (func (export "0") (param i32 i32)
            (call_indirect (type $two) (local.get 0) (local.get 1) (i32.const 0)))
        (func (export "1") (param i32 i32)
            (call_indirect (type $two) (local.get 0) (local.get 1) (i32.const 1))))
    (core module $fixup
        (import "" "$imports" (table 2 2 funcref))
        (import "" "0" (func (param i32 i32)))
        (import "" "1" (func (param i32 i32)))
        (elem (i32.const 0) 0 1))
    (core instance $shim (instantiate $shim))
    (alias core export $shim "0" (core func $shim0))
    (alias core export $shim "1" (core func $shim1))
    (core instance $main (instantiate $main (with "test:host/texts@1.2.3" (instance
        (export "get" (func $shim0)) (export "put" (func $shim1))))))
    (alias core export $main "memory" (core memory $memory))
    (alias core export $main "cabi_realloc" (core func $realloc))
    (alias export $texts "get" (func $get))
    (alias export $texts "put" (func $put))
    (core func $lowered_get
        (canon lower (func $get) (memory $memory) (realloc $realloc) string-encoding=utf16))
    (core func $lowered_put (canon lower (func $put) (memory $memory)))
    (alias core export $shim "$imports" (core table $table))
    (core instance (instantiate $fixup (with "" (instance
        (export "$imports" (table $table))
        (export "0" (func $lowered_get))
        (export "1" (func $lowered_put))))))
    (func (export "run") (result u32) (canon lift (core func $main "run"))))
