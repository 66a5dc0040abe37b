/* IMPORTANT
 * This snapshot file is auto-generated, but designed for humans.
 * It should be checked into source control and tracked carefully.
 * Re-generate by setting TAP_SNAPSHOT=1 and running tests.
 * Make sure to inspect the output below.  Do not ignore changes!
 */
'use strict'
exports[`test/cli/config.test.ts > TAP > config lists every knob with its value and where that comes from > must match snapshot 1`] = `
FLAG                   VARIABLE                   VALUE                                   FROM
--host                 QUIPU_HOST                 0.0.0.0                                 flag
--port                 QUIPU_PORT                 4000                                    flag
--grpc                 QUIPU_GRPC                 off                                     default
--agents               QUIPU_AGENTS               off                                     default
--insecure             QUIPU_INSECURE             off                                     default
--data                 QUIPU_DATA                 ./data                                  default
--archive-dir          QUIPU_ARCHIVE_DIR          archive                                 default
--disk-budget          QUIPU_DISK_BUDGET          0                                       default
--node                 QUIPU_NODES                http://gpu-a,slots=4,label.room=attic   flag
--embedded             QUIPU_EMBEDDED             on                                      default
--trust                QUIPU_TRUST                none                                    default
--allow-host           QUIPU_ALLOW_HOSTS          none                                    default
--origin               QUIPU_ORIGINS              none                                    default
--pseudonyms           QUIPU_PSEUDONYMS           off                                     default
--cloud                QUIPU_CLOUD                on                                      env
--link-local           QUIPU_LINK_LOCAL           off                                     default
--allow-callback       QUIPU_ALLOW_CALLBACKS      none                                    default
--agent-certificate    QUIPU_AGENT_CERTIFICATE    720h                                    default
--queue-max            QUIPU_QUEUE_MAX            64                                      env
--client-queue-max     QUIPU_CLIENT_QUEUE_MAX     256                                     default
--client-running-max   QUIPU_CLIENT_RUNNING_MAX   100000                                  default
--starve-after         QUIPU_STARVE_AFTER         2m                                      default
--wait-max             QUIPU_WAIT_MAX             90s                                     flag
--attempts-max         QUIPU_ATTEMPTS_MAX         3                                       default
--jobs-max             QUIPU_JOBS_MAX             10000                                   default
--job-wait-max         QUIPU_JOB_WAIT_MAX         24h                                     default
--job-attempts-max     QUIPU_JOB_ATTEMPTS_MAX     5                                       default
--spool-max            QUIPU_SPOOL_MAX            4G                                      default
--keep-finished        QUIPU_KEEP_FINISHED        24h                                     default
--snapshot-every       QUIPU_SNAPSHOT_EVERY       50000                                   default
--load-max             QUIPU_LOAD_MAX             30m                                     default
--probe-every          QUIPU_PROBE_EVERY          5s                                      default
--watch-every          QUIPU_WATCH_EVERY          5s                                      default
--lost-after           QUIPU_LOST_AFTER           3                                       default
--suspect-after        QUIPU_SUSPECT_AFTER        30s                                     default
--pulls                QUIPU_PULLS                1                                       default
--heal-after           QUIPU_HEAL_AFTER           1m                                      default
--batch                QUIPU_BATCH                on                                      default
--batch-max            QUIPU_BATCH_MAX            32                                      default
--batch-bytes-max      QUIPU_BATCH_BYTES_MAX      256K                                    default
--body-max             QUIPU_BODY_MAX             1536                                    env
--connections-max      QUIPU_CONNECTIONS_MAX      4096                                    default
--slow-move            QUIPU_SLOW_MOVE            off                                     default
--scrub                QUIPU_SCRUB                24h                                     default
--grace                QUIPU_GRACE                5s                                      default
--kafka                QUIPU_KAFKA                none                                    default
--log                  QUIPU_LOG                  warn                                    default
                       OLLAMA_HOST                127.0.0.1:1                             env

`

exports[`test/cli/config.test.ts > TAP > get shows what holds in a running house, all of it or one value > must match snapshot 1`] = `
NAME        VALUE   FROM      CAN BE SET          ELSE
port        11435   flag      at the start only
queue-max   64      set       yes                 512
wait-max    10m     default   yes

wait-max: "a while" is set, but this version does not understand it

`

exports[`test/cli/config.test.ts > TAP > history and rollback print the changes, and where there are none, that > must match snapshot 1`] = `
SEQ   WHEN                  WHO         SETTING     BEFORE   AFTER
 31   2026-01-31 09:05:07   127.0.0.1   queue-max   64       512 (reset)
 30   2026-01-31 09:05:07   127.0.0.1   queue-max   512      64

`
