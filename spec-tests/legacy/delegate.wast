;; `delegate`.

(module
  (tag $none)
  (tag $twin)
  (tag $byte (param i32))
  (func $throw-none (throw $none))
  (func $pick (param i32)
    (block $b (block $a (br_table $a $b 2 (local.get 0)))
      (throw $none))
    (throw $twin))

  (func (export "to-the-next") (param i32) (result i32)
    (try $t (result i32)
      (do (try (result i32) (do (call $pick (local.get 0)) (i32.const 1)) (delegate $t)))
      (catch $none (i32.const 2))))

  ;; The block in between is passed over, though it would catch.
  (func (export "past-one") (param i32) (result i32)
    (try $t (result i32)
      (do
        (try (result i32)
          (do (try (result i32) (do (call $pick (local.get 0)) (i32.const 1)) (delegate $t)))
          (catch_all (i32.const 2))))
      (catch $none (i32.const 3))))

  ;; Delegated again by the block it gets to.
  (func (export "twice") (param i32) (result i32)
    (try $far (result i32)
      (do
        (try (result i32)
          (do
            (try $near (result i32)
              (do
                (try (result i32)
                  (do (try (result i32) (do (call $pick (local.get 0)) (i32.const 1)) (delegate $near)))
                  (catch_all (i32.const 2))))
              (delegate $far)))
          (catch_all (i32.const 3))))
      (catch_all (i32.const 4))))

  ;; To a block that catches nothing: on from there.
  (func (export "to-a-block") (result i32)
    (try (result i32)
      (do
        (block $b
          (try (do (try (do (throw $none)) (delegate $b))) (catch_all (return (i32.const 1)))))
        (i32.const 2))
      (catch_all (i32.const 3))))
  (func (export "to-a-loop") (result i32)
    (try (result i32)
      (do
        (loop $l
          (try (do (try (do (throw $none)) (delegate $l))) (catch_all (return (i32.const 1)))))
        (i32.const 2))
      (catch_all (i32.const 3))))
  (func (export "to-an-if") (param i32) (result i32)
    (try (result i32)
      (do
        (if $i (result i32) (local.get 0)
          (then
            (try (do (try (do (throw $none)) (delegate $i))) (catch_all (return (i32.const 1))))
            (i32.const 2))
          (else
            (try (do (try (do (throw $twin)) (delegate $i))) (catch_all (return (i32.const 3))))
            (i32.const 4))))
      (catch $none (i32.const 5))
      (catch $twin (i32.const 6))))

  ;; To a block from its `catch` part: it does not catch any more.
  (func (export "to-a-catch") (result i32)
    (try (result i32)
      (do
        (try $t
          (do (throw $none))
          (catch $none
            (try
              (do (try (do (rethrow 2)) (delegate $t)))
              (catch_all (return (i32.const 1)))))
          (catch_all (return (i32.const 2))))
        (i32.const 3))
      (catch $none (i32.const 4))))

  ;; To the caller, past everything.
  (func $to-caller
    (try (do (try (do (throw $none)) (delegate 1))) (catch_all)))
  (func (export "to-the-caller") (call $to-caller))
  (func (export "caught-by-the-caller") (result i32)
    (try (result i32) (do (call $to-caller) (i32.const 1)) (catch $none (i32.const 2))))

  ;; A call before the block is none of its own.
  (func (export "beside") (param i32 i32) (result i32)
    (try $t (result i32)
      (do
        (call $pick (local.get 0))
        (try (result i32) (do (call $pick (local.get 1)) (i32.const 1)) (delegate $t)))
      (catch $none (i32.const 2))))

  ;; Left by a branch, nothing is delegated any more.
  (func (export "branch") (try (do (br 0)) (delegate 0)))
  (func (export "after-a-branch") (result i32)
    (try $far (result i32)
      (do
        (try (result i32)
          (do
            (block $b (try (do (br $b)) (delegate $far)))
            (call $throw-none)
            (i32.const 0))
          (catch_all (i32.const 1))))
      (catch_all (i32.const 2))))

  (func (export "values") (param i32) (result i32)
    (try $t (result i32)
      (do (try (param) (result i32) (do (throw $byte (local.get 0))) (delegate $t)))
      (catch $byte (i32.mul (i32.const 2)))))
  (func (export "params") (param i32) (result i32)
    (i32.const 40)
    (try (param i32) (result i32)
      (do (call $pick (local.get 0)) (i32.const 2) (i32.add))
      (delegate 0)))

  (table funcref (elem $throw-none))
  (func (export "tail-call")
    (try $t (do (try (do (return_call $throw-none)) (delegate $t))) (catch_all)))
  (func (export "tail-call-indirect")
    (try $t (do (try (do (return_call_indirect (i32.const 0))) (delegate $t))) (catch_all)))
  (func (export "dead") (unreachable) (try (do (call $throw-none)) (delegate 0))))

(assert_return (invoke "to-the-next" (i32.const 0)) (i32.const 2))
(assert_exception (invoke "to-the-next" (i32.const 1)))
(assert_return (invoke "to-the-next" (i32.const 2)) (i32.const 1))
(assert_return (invoke "past-one" (i32.const 0)) (i32.const 3))
(assert_exception (invoke "past-one" (i32.const 1)))
(assert_return (invoke "past-one" (i32.const 2)) (i32.const 1))
(assert_return (invoke "twice" (i32.const 0)) (i32.const 4))
(assert_return (invoke "twice" (i32.const 2)) (i32.const 1))
(assert_return (invoke "to-a-block") (i32.const 3))
(assert_return (invoke "to-a-loop") (i32.const 3))
(assert_return (invoke "to-an-if" (i32.const 1)) (i32.const 5))
(assert_return (invoke "to-an-if" (i32.const 0)) (i32.const 6))
(assert_return (invoke "to-a-catch") (i32.const 4))
(assert_exception (invoke "to-the-caller"))
(assert_return (invoke "caught-by-the-caller") (i32.const 2))
(assert_return (invoke "beside" (i32.const 0) (i32.const 2)) (i32.const 2))
(assert_exception (invoke "beside" (i32.const 1) (i32.const 2)))
(assert_return (invoke "beside" (i32.const 2) (i32.const 0)) (i32.const 2))
(assert_exception (invoke "beside" (i32.const 2) (i32.const 1)))
(assert_return (invoke "beside" (i32.const 2) (i32.const 2)) (i32.const 1))
(assert_return (invoke "branch"))
(assert_return (invoke "after-a-branch") (i32.const 1))
(assert_return (invoke "values" (i32.const 21)) (i32.const 42))
(assert_return (invoke "params" (i32.const 2)) (i32.const 42))
(assert_exception (invoke "params" (i32.const 0)))
(assert_exception (invoke "tail-call"))
(assert_exception (invoke "tail-call-indirect"))
(assert_trap (invoke "dead") "unreachable")

(assert_invalid (module (func (try (do) (delegate 1)))) "unknown label")
;; `delegate` in a `catch` part, outside of a `try`, and in place of the end of a block.
(assert_invalid
  (module binary "\00asm" "\01\00\00\00" "\01\04\01\60\00\00" "\03\02\01\00"
    "\0a\09\01\07\00" "\06\40" "\19" "\18\00" "\0b")
  "delegate in a catch part")
(assert_invalid
  (module binary "\00asm" "\01\00\00\00" "\01\04\01\60\00\00" "\03\02\01\00"
    "\0a\06\01\04\00" "\18\00" "\0b")
  "delegate outside of a try")
(assert_invalid
  (module binary "\00asm" "\01\00\00\00" "\01\04\01\60\00\00" "\03\02\01\00"
    "\0a\08\01\06\00" "\02\40" "\18\00" "\0b")
  "delegate in a block")
