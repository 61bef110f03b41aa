/* A plugin of QEMU's user-mode emulation that counts the instructions a program executes and writes
 * "executed: N" to standard error at its end. For programs of one thread: the counter is not atomic.
 *
 * The declarations below are the part of QEMU's plugin interface (version 1, since QEMU 6.0;
 * docs/devel/tcg-plugins in its sources) that is used here. Debian has no package with the header.
 */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

typedef uint64_t plugin_id;
struct qemu_plugin_tb;

void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id, void (*on_block)(plugin_id, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *block, int operation, void *counter, uint64_t by);
void qemu_plugin_register_atexit_cb(plugin_id id, void (*at_exit)(plugin_id, void *), void *data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);

enum { ADD_U64 = 0 };

int qemu_plugin_version = 1;

static uint64_t n_executed;

/* A block of instructions has been translated: from now on, whenever it is executed, as many are
 * added to the counter. */
static void on_block(plugin_id id, struct qemu_plugin_tb *block)
{
    (void)id;
    qemu_plugin_register_vcpu_tb_exec_inline(block, ADD_U64, &n_executed, qemu_plugin_tb_n_insns(block));
}

static void at_exit(plugin_id id, void *data)
{
    (void)id;
    (void)data;
    fprintf(stderr, "executed: %" PRIu64 "\n", n_executed);
}

int qemu_plugin_install(plugin_id id, const void *info, int n_args, char **args)
{
    (void)info;
    (void)n_args;
    (void)args;
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_block);
    qemu_plugin_register_atexit_cb(id, at_exit, NULL);
    return 0;
}
