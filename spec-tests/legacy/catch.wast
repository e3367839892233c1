;; `try` with `catch` and `catch_all`.

(module $other
  (tag $shared (export "shared") (param i32))
  (func (export "throw") (param i32) (throw $shared (local.get 0))))
(register "other" $other)

(module
  (import "other" "shared" (tag $shared (param i32)))
  (import "other" "throw" (func $throw-shared (param i32)))
  (tag $none)
  (tag $twin)
  (tag $byte (param i32))
  (tag $many (param i32 i64 f32 f64))

  (func $throw-none (throw $none))
  (func $pick (param i32)
    (block $c (block $b (block $a (br_table $a $b $c 3 (local.get 0)))
      (throw $none))
      (throw $twin))
    (throw $byte (i32.const 9)))

  ;; What is caught by which part; 0 if nothing is thrown.
  (func (export "parts") (param i32) (result i32)
    (try (result i32)
      (do (call $pick (local.get 0)) (i32.const 0))
      (catch $none (i32.const 10))
      (catch $twin (i32.const 20))
      (catch $byte (i32.add (i32.const 30)))))

  ;; The first part that fits is taken, and one after `catch` of the same tag is never.
  (func (export "first") (param i32) (result i32)
    (try (result i32)
      (do (call $pick (local.get 0)) (i32.const 0))
      (catch $none (i32.const 1))
      (catch $none (i32.const 2))
      (catch_all (i32.const 3))))

  (func (export "nested") (param i32) (result i32)
    (try (result i32)
      (do
        (try (result i32)
          (do (call $pick (local.get 0)) (i32.const 0))
          (catch $twin (i32.const 1))))
      (catch_all (i32.const 2))))

  ;; An exception in a `catch` part is not for the parts beside it.
  (func (export "in-catch") (result i32)
    (try (result i32)
      (do
        (try
          (do (throw $none))
          (catch $none (throw $twin))
          (catch $twin (return (i32.const 1)))
          (catch_all (return (i32.const 2))))
        (i32.const 3))
      (catch $twin (i32.const 4))))

  (func (export "values") (param i32 i64 f32 f64) (result f64 f32 i64 i32)
    (local $a i32) (local $b i64) (local $c f32) (local $d f64)
    (try
      (do (throw $many (local.get 0) (local.get 1) (local.get 2) (local.get 3)))
      (catch $many
        (local.set $d) (local.set $c) (local.set $b) (local.set $a)))
    (local.get $d) (local.get $c) (local.get $b) (local.get $a))

  ;; Operands below the block are what they were, and those in it are gone.
  (func (export "operands") (param i32) (result i32)
    (i32.const 100)
    (i32.const 20)
    (try (param i32) (result i32)
      (do (i32.const 1) (call $pick (local.get 0)) (i32.add))
      (catch $byte)
      (catch_all (i32.const 7)))
    (i32.add))

  ;; Locals keep what was assigned before the exception.
  (func (export "locals") (param i32) (result i32)
    (local $seen i32)
    (try
      (do
        (local.set $seen (i32.const 1))
        (call $pick (local.get 0))
        (local.set $seen (i32.const 2))
        (call $throw-none)
        (local.set $seen (i32.const 3)))
      (catch_all (local.set $seen (i32.mul (local.get $seen) (i32.const 10)))))
    (local.get $seen))

  (func (export "imported") (param i32) (result i32)
    (try (result i32)
      (do (call $throw-shared (local.get 0)) (i32.const -1))
      (catch $byte (drop) (i32.const -2))
      (catch $shared)))

  (func (export "loop") (param i32) (result i32)
    (local $caught i32)
    (loop $again
      (try
        (do
          (local.set 0 (i32.sub (local.get 0) (i32.const 1)))
          (call $pick (i32.and (local.get 0) (i32.const 3))))
        (catch_all (local.set $caught (i32.add (local.get $caught) (i32.const 1)))))
      (br_if $again (local.get 0)))
    (local.get $caught))

  ;; A `try` without parts catches nothing.
  (func (export "bare") (param i32) (result i32)
    (try (result i32)
      (do (try (result i32) (do (call $pick (local.get 0)) (i32.const 5))))
      (catch $none (i32.const 6))))

  (func (export "nothing-thrown") (try (do) (catch $none)))
  (func (export "branch") (try (do (br 0)) (catch $none)))
  (func (export "branch-from-catch") (result i32)
    (block $out (result i32)
      (try (do (throw $none)) (catch $none (br $out (i32.const 8))))
      (i32.const 9)))
  (func (export "return-from-catch") (result i32)
    (try (do (throw $byte (i32.const 3))) (catch $byte (return)))
    (i32.const 4))

  ;; Traps are no exceptions.
  (func (export "trap") (try (do (unreachable)) (catch_all)))
  (func $divide (param i32 i32) (result i32) (i32.div_u (local.get 0) (local.get 1)))
  (func (export "trap-below") (param i32 i32) (result i32)
    (try (result i32)
      (do (call $divide (local.get 0) (local.get 1)))
      (catch_all (i32.const -1))))

  ;; A tail call has left the block.
  (table funcref (elem $throw-none))
  (func (export "tail-call") (try (do (return_call $throw-none)) (catch_all)))
  (func (export "tail-call-indirect")
    (try (do (return_call_indirect (i32.const 0))) (catch $none)))

  ;; No code gets to these parts.
  (func (export "dead") (result i32)
    (unreachable)
    (try (result i32)
      (do (throw $none))
      (catch $byte)
      (catch_all (try (result i32) (do (rethrow 1)) (delegate 0)))))
  (func (export "never-caught") (result i32)
    (try (result i32)
      (do (i32.const 1))
      (catch $byte (drop) (rethrow 0))
      (catch $none (throw $none))
      (catch_all (unreachable)))))

(assert_return (invoke "parts" (i32.const 0)) (i32.const 10))
(assert_return (invoke "parts" (i32.const 1)) (i32.const 20))
(assert_return (invoke "parts" (i32.const 2)) (i32.const 39))
(assert_return (invoke "parts" (i32.const 3)) (i32.const 0))
(assert_return (invoke "first" (i32.const 0)) (i32.const 1))
(assert_return (invoke "first" (i32.const 1)) (i32.const 3))
(assert_return (invoke "first" (i32.const 3)) (i32.const 0))
(assert_return (invoke "nested" (i32.const 0)) (i32.const 2))
(assert_return (invoke "nested" (i32.const 1)) (i32.const 1))
(assert_return (invoke "nested" (i32.const 2)) (i32.const 2))
(assert_return (invoke "nested" (i32.const 3)) (i32.const 0))
(assert_return (invoke "in-catch") (i32.const 4))
(assert_return (invoke "values" (i32.const 1) (i64.const -2) (f32.const 3.5) (f64.const -0.25))
  (f64.const -0.25) (f32.const 3.5) (i64.const -2) (i32.const 1))
(assert_return (invoke "operands" (i32.const 0)) (i32.const 107))
(assert_return (invoke "operands" (i32.const 2)) (i32.const 109))
(assert_return (invoke "operands" (i32.const 3)) (i32.const 121))
(assert_return (invoke "locals" (i32.const 0)) (i32.const 10))
(assert_return (invoke "locals" (i32.const 3)) (i32.const 20))
(assert_return (invoke "imported" (i32.const 77)) (i32.const 77))
(assert_return (invoke "loop" (i32.const 8)) (i32.const 6))
(assert_return (invoke "bare" (i32.const 0)) (i32.const 6))
(assert_exception (invoke "bare" (i32.const 1)))
(assert_return (invoke "bare" (i32.const 3)) (i32.const 5))
(assert_return (invoke "nothing-thrown"))
(assert_return (invoke "branch"))
(assert_return (invoke "branch-from-catch") (i32.const 8))
(assert_return (invoke "return-from-catch") (i32.const 3))
(assert_trap (invoke "trap") "unreachable")
(assert_return (invoke "trap-below" (i32.const 7) (i32.const 2)) (i32.const 3))
(assert_trap (invoke "trap-below" (i32.const 7) (i32.const 0)) "integer divide by zero")
(assert_exception (invoke "tail-call"))
(assert_exception (invoke "tail-call-indirect"))
(assert_trap (invoke "dead") "unreachable")
(assert_return (invoke "never-caught") (i32.const 1))

(assert_invalid (module (func (result i32) (try (result i32) (do)))) "type mismatch")
(assert_invalid (module (func (try (do (i32.const 1))))) "type mismatch")
(assert_invalid (module (tag) (func (try (do) (catch 0 (i32.const 1))))) "type mismatch")
(assert_invalid (module (func (try (do) (catch_all (i32.const 1))))) "type mismatch")
(assert_invalid
  (module (tag (param i64))
    (func (result i32) (try (result i32) (do (i32.const 1)) (catch 0))))
  "type mismatch")
(assert_invalid (module (func (try (do) (catch 0)))) "unknown tag")
;; A `catch` after `catch_all`, and parts outside of a `try`; in binary, since text has no way to write them.
(assert_invalid
  (module binary "\00asm" "\01\00\00\00" "\01\04\01\60\00\00" "\03\02\01\00" "\0d\03\01\00\00"
    "\0a\09\01\07\00" "\06\40" "\19" "\07\00" "\0b\0b")
  "catch after catch_all")
(assert_invalid
  (module binary "\00asm" "\01\00\00\00" "\01\04\01\60\00\00" "\03\02\01\00"
    "\0a\05\01\03\00" "\19" "\0b")
  "catch_all outside of a try")
(assert_invalid
  (module binary "\00asm" "\01\00\00\00" "\01\04\01\60\00\00" "\03\02\01\00"
    "\0a\08\01\06\00" "\02\40" "\19" "\0b\0b")
  "catch_all in a block")
