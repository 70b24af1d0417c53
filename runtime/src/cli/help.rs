//! The layout of help texts, after spec/classic.md section 1.1.

/// Help of `swarm` itself.
pub(super) const APPLICATION_HELP: &str = "Usage: {usage}

{about}

Version: {version}

Options:
{options}

Commands:
{subcommands}

Run 'swarm COMMAND --help' for more information on a command.
";

/// Help of commands without arguments.
pub(super) const PLAIN_HELP: &str = "Usage: {usage}

{about}

Options:
{options}{after-help}
";

/// Help of commands that take `<discovery>`.
pub(super) const DISCOVERY_HELP: &str = "Usage: {usage}

{about}

Arguments:
  <discovery>    where the engines are found [$SWARM_DISCOVERY]
                   * consul://<ip>:<port>,<ip>:<port>/<path>
                   * etcd://<ip1>:<port>,<ip2>:<port>/<path>
                   * zk://<ip1>,<ip2>/<path>
                   * file://path/to/file
                   * [nodes://]<ip1>:<port>,<ip2>:<port>
                   * token://<token>            (the service was switched off)

{all-args}{after-help}
";

/// Ends the help of `manage`.
pub(super) const CLUSTER_OPTIONS: &str = "Cluster options:
  * swarm.overcommit=0.05    overcommit to apply on resources
  * swarm.createretry=0      container create retry count after initial failure
  * swarm.reschedule.grace=30s  how long an engine must be down before containers created with
                             reschedule:on-node-failure are moved
";

/// Ends the help of `doctor`.
pub(super) const DOCTOR_NOTES: &str =
    "Give it the options of 'swarm manage', on the machine of a manager, whether that runs or not.

Exit code:
  0    a manager with these options can do its work
  1    something keeps it from that, or the options cannot be used
";

/// Ends the help of `status`.
pub(super) const STATUS_EXIT: &str = "Exit code:
  0    a primary is there and answers
  1    no primary can be reached, or the manager cannot be asked
";

/// Ends the help of `engine`.
pub(super) const ENGINE_NOTES: &str = "A drained engine gets no new containers; those it has stay and go on.
Any manager of the cluster may be named, and all of them know it from the store, also after a failover.
NAME is an engine's name or ID, as 'swarm status' and 'docker info' show it.
";

/// Ends the help of `certs`.
pub(super) const CERTS_NOTES: &str =
    "Makes ca.pem and ca-key.pem, and a ca.pem, cert.pem and key.pem each in manager/, engine/ and
client/; the last is what DOCKER_CERT_PATH names. One certificate serves all managers, another all
engines. The managers' one carries the name URI:swarm://manager, so that an engine cannot pass as
a manager. Nothing is overwritten.
";

/// Ends the help of `step-down`.
pub(super) const STEP_DOWN_EXIT: &str =
    "Any manager of the cluster may be named: it knows the primary.

Exit code:
  0    the primary stepped down and another manager took over
  1    there is no primary, or no other manager took over within --timeout
";
