;; A service of WASI 0.3 that waits for its clock by its callback, for an hour.
(component
    (import "wasi:http/types@0.3.0" (instance $types
        (export "request" (type $request (sub resource)))
        (export "response" (type $response (sub resource)))
        (type $codes (variant (case "internal-error" (option string))))
        (export "error-code" (type $code (eq $codes)))))
    (import "wasi:clocks/monotonic-clock@0.3.0" (instance $clock
        (export "wait-for" (func async (param "how-long" u64)))))
    (alias export $types "request" (type $request))
    (alias export $types "response" (type $response))
    (alias export $types "error-code" (type $code))
    (type $answer (result (own $response) (error $code)))
    (core func $sleep (canon lower (func $clock "wait-for") async))
    (core func $set (canon waitable-set.new))
    (core func $join (canon waitable.join))
    (core instance $host
        (export "sleep" (func $sleep)) (export "set" (func $set)) (export "join" (func $join)))
    (core module $main
        (import "" "sleep" (func $sleep (param i64) (result i32)))
        (import "" "set" (func $set (result i32)))
        (import "" "join" (func $join (param i32 i32)))
        (memory (export "memory") 1)
        (data (i32.const 0) "\01")
        (func (export "handle") (param $request i32) (result i32) (local $waits i32)
            ;; One page differs from the image.
            (i32.store (i32.const 0) (local.get $request))
            (local.set $waits (call $set))
            (call $join
                (i32.shr_u (call $sleep (i64.const 3600000000000)) (i32.const 4)) (local.get $waits))
            (i32.or (i32.const 2) (i32.shl (local.get $waits) (i32.const 4))))
        (func (export "callback") (param i32 i32 i32) (result i32) (i32.const 0)))
    (core instance $main (instantiate $main (with "" (instance $host))))
    (alias core export $main "memory" (core memory $memory))
    (func $handle async (param "request" (own $request)) (result $answer)
        (canon lift (core func $main "handle") async (memory $memory)
            (callback (core func $main "callback"))))
    (instance $handler (export "handle" (func $handle)))
    (export "wasi:http/handler@0.3.0" (instance $handler)))
