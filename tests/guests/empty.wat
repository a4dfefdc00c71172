;; Imports nothing and does nothing: 200, and no body.
(module (func (export "run")))
