#!/usr/bin/env python3
"""Takes the compiler's defences away, one by one, in a copy of the sources, and sees the tests of the attacks fail.

    mutations.py [NAME…]

A mutation is a text of a file and what stands there instead; the test named with it passes before and must fail after.
Takes some minutes.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ATTACK, SANDBOX, BODY = "compile_attack", "compile_sandbox", "wasm_module"

UNKNOWN_IMPORT = ("compiler/wasm_judge.c",
    "    return tf_error_set(error, TF_ERR_REFUSED, \"import \\\"%s\\\".\\\"%s\\\" (%s%s%s) is not offered",
    "    import->row = TF_ROW_DEBUG;\n    if (import->kind == TF_WASM_FUNC)\n        return 0;\n"
    "    return tf_error_set(error, TF_ERR_REFUSED, \"import \\\"%s\\\".\\\"%s\\\" (%s%s%s) is not offered")

# name, fact it stands for, [(file, old, new)…], test program, its filter
MUTATIONS = [
    ("export names stay", "1", [("compiler/wasm_canonical.c", "    if (m->run_func >= 0)\n        count +=",
      "    for (uint32_t i = 0; !w->detail->is_test_world && i < m->export_count; i++) {\n"
      "        if (m->exports[i].name.length < 20)\n            continue;\n"
      "        put_u32(&w->section, m->exports[i].name.length);\n"
      "        tf_buffer_append(&w->section, m->exports[i].name.bytes, m->exports[i].name.length);\n"
      "        tf_buffer_append_byte(&w->section, m->exports[i].kind), put_u32(&w->section, m->exports[i].index);\n"
      "        count++;\n    }\n    if (m->run_func >= 0)\n        count +=")], ATTACK, "export_name"),
    ("unknown imports are taken for one of the host's", "1", [UNKNOWN_IMPORT], ATTACK, "import_name"),
    ("tail calls are calls", "2", [
        ("compiler/wasm_opcodes.c", "    if (!tf_wasm_read_byte(r, &byte))\n        return false;\n",
         "    if (!tf_wasm_read_byte(r, &byte))\n        return false;\n    byte = byte == 0x12 ? 0x10 : byte;\n"),
        ], ATTACK, "tail_call"),
    ("import types are not compared", "3", [("compiler/wasm_judge.c",
      "if (import->kind != TF_WASM_FUNC || !same_type(&m->types[import->index], &type)) {",
      "if (import->kind != TF_WASM_FUNC) {")], ATTACK, "import_of_another_type"),
    ("import kinds are not compared", "3", [("compiler/wasm_judge.c",
      "if (import->kind != TF_WASM_FUNC || !same_type(&m->types[import->index], &type)) {",
      "if (import->kind == TF_WASM_FUNC && !same_type(&m->types[import->index], &type)) {")], ATTACK,
     "import_of_another_kind"),
    ("imports of the module's own are taken for the host's", "3", [UNKNOWN_IMPORT], ATTACK, "import_from_itself"),
    ("entry types are not compared", "3", [("compiler/wasm_judge.c",
      "if (is_func && same_type(type_of(m, export->index), &type) &&", "if (is_func &&")], ATTACK,
     "entry_of_another_type"),
    ("the shim believes the module's types", "3", [("compiler/shim.c",
      "    if (shim->is_test_world)\n        *ret_type",
      "    if (true)\n        *ret_type")], ATTACK, "type_confusion"),
    ("no stack probes", "4", [("compiler/flags.c", "    \"-fstack-clash-protection\",\n", "")], ATTACK,
     "frame_over_the_guard"),
    ("typed select pops anything", "7", [("compiler/wasm_validate.c",
      "tf_wasm_pop(v, *ins->bytes) && tf_wasm_pop(v, *ins->bytes) && tf_wasm_push(v, *ins->bytes)",
      "tf_wasm_pop_any(v, &first) && tf_wasm_pop_any(v, &second) && tf_wasm_push(v, 0)")], ATTACK, "select"),
    ("call_indirect takes any table", "7", [("compiler/wasm_control.c",
      "    if (v->module->tables[ins->second].type != TF_WASM_FUNCREF)", "    if (false)")], ATTACK, "externref_table"),
    ("table entries keep their instance", "8", [
        ("compiler/prelude/instance.h", "        entry->module_instance = NULL;",
         "        entry->module_instance = instance;"),
        ("compiler/prelude/instance.h", "    value.module_instance = NULL;\n", ""),
        ("compiler/prelude/instance.h", "(instance, ##__VA_ARGS__)", "(entry_instance, ##__VA_ARGS__)")], ATTACK,
     "another_slot"),
    ("memory routines of somebody else", "9", [("compiler/prelude/mem.h", "TF_ASM_FUNCTION(\"memset\")",
      "TF_ASM_FUNCTION(\"tf_memset\")"), ("compiler/prelude/mem.h", ".size memset, . - memset", "")], ATTACK,
     "memory_routine"),
    ("bodies of any size", "5", [("compiler/wasm_validate.c", "limits->function_bytes", "limits->module_bytes")],
     BODY, ""),
    ("nesting of any depth", "5", [("compiler/wasm_control.c", "limits->function_nesting", "limits->module_bytes")],
     "wasm_module", ""),
    ("sockets", "sandbox", [("compiler/seccomp.c", "SYS_socket, SYS_socketpair, ", "")], SANDBOX, "network"),
    ("host folders", "sandbox", [("compiler/sandbox.c", "\"/usr/libexec\"};", "\"/usr/libexec\", \"/etc\"};")], SANDBOX,
     "reads_nothing"),
    ("writable compilers", "sandbox", [("compiler/sandbox.c", "\"--remount-ro\",\n        \"/\", ", "")], SANDBOX,
     "writes_nothing"),
    ("descriptors get in", "sandbox", [("compiler/sandbox.c",
      "syscall(SYS_close_range, (unsigned)count, ~0u, 0) == 0;", "count > 0;")], SANDBOX, "sees_no_other"),
    ("no limit on processes", "sandbox", [("compiler/child.c", "RLIMIT_NPROC, &processes", "RLIMIT_CORE, &processes")],
     SANDBOX, "limits_hold"),
    ("no limit on memory", "sandbox", [("compiler/sandbox.c", "set_limit(RLIMIT_AS, ", "set_limit(RLIMIT_CORE, ")],
     SANDBOX, "limits_hold"),
    ("keys of the canonical module alone", "cache", [("compiler/build.c",
      "    tf_hash_field(hash, numbers, sizeof(numbers));\n", "    (void)numbers;\n")], SANDBOX, "attack_judge"),
]


class Copy:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="terrafirma-mutations-")
        self.sources, self.build = os.path.join(self.folder, "sources"), os.path.join(self.folder, "build")
        shutil.copytree(ROOT, self.sources, ignore=lambda folder, names: [
            name for name in names if folder == ROOT and (name == ".git" or os.path.exists(
                os.path.join(folder, name, "CMakeCache.txt")))])
        self.run(["cmake", "-S", self.sources, "-B", self.build, "-G", "Ninja", "-D", "CMAKE_BUILD_TYPE=Debug",
                  "-D", "CMAKE_C_FLAGS=-Wno-error"])

    @staticmethod
    def run(command):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit("%s failed:\n%s" % (" ".join(command), (done.stdout + done.stderr)[-3000:]))

    def passes(self, program, name_filter):
        self.run(["ninja", "-C", self.build, "-j2", "terrafirma-compiler", "compile_hook", "test_" + program])
        done = subprocess.run([os.path.join(self.build, "test_" + program)] + ([name_filter] if name_filter else []),
                              capture_output=True, text=True, check=False)
        ran = re.findall(r"^(\d+) passed, (\d+) failed", done.stdout, re.M)
        if not ran or sum(map(int, ran[0])) == 0:
            return False, "no test ran: " + done.stderr[-200:].strip()
        return done.returncode == 0, next((line for line in done.stderr.splitlines() if "failed:" in line), "")

    def mutate(self, changes):
        before = {}
        for file, old, new in changes:
            path = os.path.join(self.sources, file)
            with open(path, encoding="utf-8") as stream:
                text = stream.read()
            before.setdefault(path, text)
            if old not in text:
                raise SystemExit("%s no longer has %r: adapt the mutation" % (file, old))
            with open(path, "w", encoding="utf-8") as stream:
                stream.write(text.replace(old, new))
        return before

    @staticmethod
    def restore(before):
        for path, text in before.items():
            with open(path, "w", encoding="utf-8") as stream:
                stream.write(text)


def main():
    chosen = [m for m in MUTATIONS if not sys.argv[1:] or any(word in m[0] for word in sys.argv[1:])]
    copy = Copy()
    survived = 0
    try:
        for program, name_filter in sorted({(m[3], m[4]) for m in chosen}):
            passed, why = copy.passes(program, name_filter)
            if not passed:
                raise SystemExit("%s %s fails without a mutation: %s" % (program, name_filter, why))
        for name, fact, changes, program, name_filter in chosen:
            before = copy.mutate(changes)
            passed, why = copy.passes(program, name_filter)
            copy.restore(before)
            survived += passed
            print("%-9s fact %-8s %-46s %s %s: %s" % ("SURVIVED" if passed else "found", fact, name, program,
                                                      name_filter, re.sub(r"^.*failed: ", "", why)[:110]), flush=True)
    finally:
        shutil.rmtree(copy.folder, ignore_errors=True)
    print("%d mutations, %d survived" % (len(chosen), survived))
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
