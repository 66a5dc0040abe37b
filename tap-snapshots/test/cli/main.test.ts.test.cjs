/* IMPORTANT
 * This snapshot file is auto-generated, but designed for humans.
 * It should be checked into source control and tracked carefully.
 * Re-generate by setting TAP_SNAPSHOT=1 and running tests.
 * Make sure to inspect the output below.  Do not ignore changes!
 */
'use strict'
exports[`test/cli/main.test.ts > TAP > audit --help says everything audit takes > must match snapshot 1`] = `
usage: quipu audit [options]

Verifies a journal from its first fact to its last: none missing, none altered, each one acceptable
where it stands. Changes nothing, and a house may be running on the folder: what it reads is a copy,
made in TMPDIR. Where anything is wrong it names the first bad fact, and the exit code is 1. Whoever
can rewrite the whole folder can also rewrite the whole chain: keep a checkpoint (\`quipu
checkpoint\`) or the head of an audit somewhere else, and give it to the next one with --since or
--expect.

  --data DIR              folder of the journal [./data; QUIPU_DATA]
  --archive-dir DIR       folder of archive files, as seen from the data folder [archive;
                          QUIPU_ARCHIVE_DIR]
  --expect SEQ:HASH       the head of an earlier audit, which must still be part of the chain
  --since CHECKPOINT      the file of an earlier checkpoint; proves that nothing up to there was
                          changed since
  --key VKEY|FILE         the public key, name+id+base64, or a file of such, one a line; repeatable
  --report FILE.html|FILE.json
                          write who did what: per client, per model, per node, changes, who was
                          turned away; the same journal gives the same file
  --json                  print JSON for programs instead of text for people
  --help                  print this

examples:
  quipu audit --data ./data
      verify every fact
  quipu audit --report audit.html
      and a page for people: who asked for what, and what became of it
  quipu audit --since checkpoint.txt --key quipu.key
      was nothing changed since that checkpoint?
  quipu audit --json | jq -r .head
      the head alone, to be kept somewhere else

`

exports[`test/cli/main.test.ts > TAP > backtest --help says everything backtest takes > must match snapshot 1`] = `
usage: quipu backtest [options]

Runs the requests of a journal once more on simulated nodes, which are as fast and as often away as
the journal says: under another policy, or on a fleet that you edited. Beside the answer stands how
far the same simulation, under the policy and on the fleet that really were, is off from what was
recorded. Changes nothing, and a house may be running on the folder: what it reads is a copy, made
in TMPDIR. docs/backtest.md says what is modelled.

  --data DIR              folder of the journal [./data; QUIPU_DATA]
  --archive-dir DIR       folder of archive files, as seen from the data folder [archive;
                          QUIPU_ARCHIVE_DIR]
  --policy NAMES|all      who decides, several with commas: quipu, round-robin, least-connections,
                          power-of-two, least-tokens, warm-first, eta [quipu]
  --fleet FILE            the nodes and models to ask the question of; begin with what --write-fleet
                          prints [as it was]
  --write-fleet           print the fleet that is found in the journal, to be edited, and nothing
                          else
  --from TIME             only requests since: 2026-01-31 or 2026-01-31T09:05 [the first one]
  --to TIME               only requests before [the last one]
  --seeds N               run so often, each with its own chance; figures are medians [5]
  --json                  print JSON for programs instead of text for people
  --help                  print this

examples:
  quipu backtest --policy least-connections
      what would a plain balancer have made of it?
  quipu backtest --write-fleet > fleet.yaml
      the fleet as it was; write  off: sat,sun  under a node, and:
  quipu backtest --fleet fleet.yaml
      what if that node were off at weekends?

`

exports[`test/cli/main.test.ts > TAP > config --help says everything config takes > must match snapshot 1`] = `
usage: quipu config [options]
       quipu config get [NAME] [options]
       quipu config set NAME VALUE [options]
       quipu config reset NAME [options]
       quipu config history [options]
       quipu config rollback SEQ [options]

By itself, prints what \`quipu serve\` would run with, given the same flags and variables. A flag wins
over a variable, and a variable over the default. With a word behind it, talks to the house that
runs: what holds there (get), sets what may change while it runs (set), takes that back (reset),
tells who set what (history), and makes everything what it was right after a fact (rollback). What
is set wins over flags, and stays over restarts.

  --limit N               history: how many at most [100]
  --host ADDR[:PORT]      address to listen on; verbs that talk to a running house look for it there
                          [127.0.0.1; QUIPU_HOST]
  --port PORT             port to listen on [11435; QUIPU_PORT]
  --grpc HOST:PORT|off    where the journal is offered over gRPC, in plain text: an address of this
                          machine [off; QUIPU_GRPC]
  --agents HOST:PORT|off  where agents of nodes attach, over mutual TLS; \`quipu pki init\` comes
                          first [off; QUIPU_AGENTS]
  --insecure              speak with agents in plain text, on this machine only: to try things out
                          [off; QUIPU_INSECURE]
  --data DIR              folder of the journal; made when it is not there [./data; QUIPU_DATA]
  --archive-dir DIR       folder of archive files, as seen from the data folder [archive;
                          QUIPU_ARCHIVE_DIR]
  --disk-budget BYTES     what the data folder may take; at 80 % it warns, beyond it nothing new is
                          taken; 0 is no budget [0; QUIPU_DISK_BUDGET]
  --node URL[,name=N][,slots=N][,resident=N][,weight=N][,hours=H][,label.K=V]
                          an Ollama server to send work to; repeatable [none; QUIPU_NODES]
  --embedded on|off       start three simulated nodes when no node is configured, none may attach,
                          and no Ollama answers [on; QUIPU_EMBEDDED]
  --trust CIDR            who may change models and the house when it listens beyond this machine;
                          repeatable [none; QUIPU_TRUST]
  --allow-host NAME       a further name this house is called by (Host header); repeatable [none;
                          QUIPU_ALLOW_HOSTS]
  --origin ORIGIN         a further web origin that may call, as OLLAMA_ORIGINS (* stands for any
                          text); repeatable [none; QUIPU_ORIGINS]
  --pseudonyms on|off     write clients, and who asks for changes, as keyed hashes; the key stays
                          beside the journal [off; QUIPU_PSEUDONYMS]
  --cloud on|off          let names like x:cloud through to the nodes, on their owners' accounts
                          [off; QUIPU_CLOUD]
  --link-local on|off     let nodes have link-local addresses (169.254.0.0/16, fe80::/10) [off;
                          QUIPU_LINK_LOCAL]
  --allow-callback CIDR   addresses that jobs and webhooks may call, beyond those of the public
                          internet; repeatable [none; QUIPU_ALLOW_CALLBACKS]
  --agent-certificate DURATION
                          how long the certificate of an agent lasts; agents renew it at two thirds
                          of that [720h; QUIPU_AGENT_CERTIFICATE]
  --queue-max N           requests that may wait; one more is refused with 503 and Retry-After [512;
                          QUIPU_QUEUE_MAX]
  --client-queue-max N    requests of one client that may wait; one more is refused with 503 and
                          Retry-After [256; QUIPU_CLIENT_QUEUE_MAX]
  --client-running-max N  requests of one client that may run at once; more of them wait, and let
                          others by [100000; QUIPU_CLIENT_RUNNING_MAX]
  --starve-after DURATION
                          wait after which every fourth turn is for those who have waited so long,
                          whatever their priority [2m; QUIPU_STARVE_AFTER]
  --wait-max DURATION     how long a request may wait for a slot before it is refused [10m;
                          QUIPU_WAIT_MAX]
  --attempts-max N        how often a request is sent to a node in all, while no byte of an answer
                          has come [3; QUIPU_ATTEMPTS_MAX]
  --jobs-max N            jobs that may be open; one more is refused with 503 and Retry-After
                          [10000; QUIPU_JOBS_MAX]
  --job-wait-max DURATION
                          how long a job may wait for a slot before it is given up [24h;
                          QUIPU_JOB_WAIT_MAX]
  --job-attempts-max N    how often a job is sent to a node in all; two nodes that die of it end it
                          sooner [5; QUIPU_JOB_ATTEMPTS_MAX]
  --spool-max BYTES       room for the bodies and answers of jobs; the oldest that have ended make
                          place for new ones [4G; QUIPU_SPOOL_MAX]
  --keep-finished DURATION
                          how long the body and the answer of a job are kept after its end, and its
                          Idempotency-Key with them [24h; QUIPU_KEEP_FINISHED]
  --snapshot-every FACTS  facts after which what the house knows is kept for a fast start; 0: never,
                          and the start replays all [50000; QUIPU_SNAPSHOT_EVERY]
  --load-max DURATION     how long loading a model may take [30m; QUIPU_LOAD_MAX]
  --probe-every DURATION  how often each node is looked at, give or take a fifth [5s;
                          QUIPU_PROBE_EVERY]
  --watch-every DURATION  how often agents say how their nodes are, from 1 s to 5 m [5s;
                          QUIPU_WATCH_EVERY]
  --lost-after N          looks in a row without an answer until a node counts as lost [3;
                          QUIPU_LOST_AFTER]
  --suspect-after DURATION
                          silence of a running request after which its node must prove that it still
                          answers [30s; QUIPU_SUSPECT_AFTER]
  --pulls N               models that are pulled at once, in the whole fleet; 0 begins none [1;
                          QUIPU_PULLS]
  --heal-after DURATION   how long a node may be away until its copies of models are made anew
                          elsewhere [1m; QUIPU_HEAL_AFTER]
  --batch off|exact|on|shares
                          which embedding requests that wait may share one call to a node;
                          docs/operating.md tells [on; QUIPU_BATCH]
  --batch-max N           requests in one such call, and inputs in it [32; QUIPU_BATCH_MAX]
  --batch-bytes-max BYTES
                          bytes of inputs in one such call [256K; QUIPU_BATCH_BYTES_MAX]
  --body-max BYTES        largest request body; uploads of blobs have no limit [64M; QUIPU_BODY_MAX]
  --connections-max N     connections of clients at once [4096; QUIPU_CONNECTIONS_MAX]
  --slow-move off|interactive|batch|all
                          class of requests whose answer goes to another node when it begins far too
                          slowly [off; QUIPU_SLOW_MOVE]
  --scrub DURATION        how often the whole journal is read again and verified while the house
                          runs; 0 for never [24h; QUIPU_SCRUB]
  --grace DURATION        how long answers under way may take to end when the house stops [5s;
                          QUIPU_GRACE]
  --kafka brokers=HOST:PORT[+…][,topic=T][,sasl=M,user=U,password-file=PATH][,ssl][,ca=PATH]
                          a topic of Kafka that every fact is copied to; docs/operating.md tells
                          [none; QUIPU_KAFKA]
  --log LEVEL             how much to say on stderr: silent, error, warn, info, debug [warn;
                          QUIPU_LOG]
  --json                  print JSON for programs instead of text for people
  --help                  print this

examples:
  quipu config
      every knob, its value, and where that comes from
  QUIPU_QUEUE_MAX=64 quipu config --json
      the same for programs
  quipu config set queue-max 64
      let no more than 64 requests wait, from now on
  quipu config rollback 1234
      as it was right after fact 1234; \`quipu config history\` has the numbers

`

exports[`test/cli/main.test.ts > TAP > doctor --help says everything doctor takes > must match snapshot 1`] = `
usage: quipu doctor [options]

Looks at a data folder and says what is wrong with it, what that means, and what to do next: whose
it is and who has it open, the room on its disk, LevelDB's files and their checksums, whether the
facts open and verify, the house's secret and authority, the spool. Changes nothing, and a house may
be running on the folder: the facts are read from a copy, made in TMPDIR, in a process of their own.
Exit code 1 where anything is bad. \`quipu audit\` looks at the facts alone, and closer.

  --data DIR              folder of the journal [./data; QUIPU_DATA]
  --archive-dir DIR       folder of archive files, as seen from the data folder [archive;
                          QUIPU_ARCHIVE_DIR]
  --deep                  verify every fact, and not the last thousand only
  --json                  print JSON for programs instead of text for people
  --help                  print this

examples:
  quipu doctor --data /var/lib/quipu
      what is wrong there, if anything is
  quipu doctor --json | jq '.findings[] | select(.verdict != "ok")'
      the same, for another program

`

exports[`test/cli/main.test.ts > TAP > events --help says everything events takes > must match snapshot 1`] = `
usage: quipu events [options]

Prints the facts of a running house as they come to be on its disk, one a line: time, seq, fact,
whose, and what. When the connection breaks it comes back, and goes on where it was.

  --from WHERE            where to begin: start, now, the seq of a fact, a time such as "2026-01-31
                          09:05", or 90m for so long ago [now, or where --since begins]
  --after SEQ             begin after this fact
  --kind KIND             only facts about node, breaker, model, replica, request, delivery, policy,
                          setting, spool, signer, scrub, subscription, refusals, archive,
                          forgetting, transfer, agent; several with commas [all]
  --type TYPE             only these facts, as node.lost; one that ends with a dot stands for all
                          that begin so; several with commas [all]
  --id ID                 only about this node, model, model@node, request or setting; several with
                          commas [all]
  --client CLIENT         only requests of this client, and what else it asked of the house; several
                          with commas [all]
  --model MODEL           only requests for this model, the model, its replicas, transfers and
                          policy; several with commas [all]
  --node NODE             only requests from when they were given to this node, the node, its
                          breaker and replicas; several with commas [all]
  --since TIME            only facts of this time and later
  --until TIME            only facts before this time
  --host ADDR[:PORT]      where the house is [127.0.0.1; QUIPU_HOST]
  --port PORT             the port it listens on [11435; QUIPU_PORT]
  --json                  print each fact as JSON, one a line
  --help                  print this

examples:
  quipu events --kind node,breaker
      what happens to the machines
  quipu events --client ann --since 1h
      what became of all that ann asked within the last hour, and on
  quipu events --from start --json | jq -r .type
      everything that ever happened, for programs

`

exports[`test/cli/main.test.ts > TAP > explain --help says everything explain takes > must match snapshot 1`] = `
usage: quipu explain ID [options]
       quipu explain last [options]

Tells the story of one request, however old: in words, then the nodes it was chosen from at each
attempt, as the house knew them at that moment, who was ahead of it, what else was decided
meanwhile, then fact by fact. The id is in the X-Quipu-Request header of the answer. With --compare
it tells, too, what another policy would have done at these very moments; for what that comes to
over a week, ask quipu backtest.

  --compare POLICY|KEY=V,…|FILE
                          a policy that quipu backtest knows, as least-connections; or other
                          settings of this one, of swap-cost=, as-good=, slow-min=, starve=,
                          nodes=A+B, avoid=, prefer=; or a file with such settings, one a line;
                          repeatable
  --brief                 do not look back: the journal is read up to that moment, from the nearest
                          snapshot on
  --host ADDR[:PORT]      where the house is [127.0.0.1; QUIPU_HOST]
  --port PORT             the port it listens on [11435; QUIPU_PORT]
  --json                  print JSON for programs instead of text for people
  --help                  print this

examples:
  quipu explain last
      the newest request
  quipu explain last --compare least-connections
      and where a plain balancer would have sent it
  quipu explain ID --compare swap-cost=1 --compare prefer=gpu-1
      and if swaps were cheaper, or gpu-1 dearer
  quipu requests --state failed
      lists ids to explain

`

exports[`test/cli/main.test.ts > TAP > jobs --help says everything jobs takes > must match snapshot 1`] = `
usage: quipu jobs [ls] [options]
       quipu jobs submit FILE [options]
       quipu jobs show ID [options]
       quipu jobs result ID [options]
       quipu jobs cancel ID [options]

Submits jobs and prints their ids (submit), lists them, newest first (ls), tells how one stands
(show), prints its answer as it came (result), or calls it off, wherever it is (cancel). FILE holds
one job as JSON, {"path": "/api/generate", "body": {"model": …}, …}, or one a line; with --path it
holds the body alone; - is stdin.

  --path PATH             submit: what is asked, as /api/chat or /v1/messages [the job says]
  --priority N            submit: 9 goes first, 0 last [5]
  --class CLASS           submit: interactive or batch [batch]
  --deadline TIME         submit: when an answer is of no use any more; 2h from now, or
                          2031-01-30T08:00:00Z [none]
  --key KEY               submit: the same key brings the same job, not another one [none]
  --callback URL          submit: what to call when it is over [none]
  --secret-file FILE      submit: what the call is signed with is in this file [calls are not
                          signed]
  --state STATE           ls: only these: queued, running, answering, leased, completed, failed,
                          expired, cancelled, open, finished (open is the first four); several with
                          commas [all]
  --model NAME            ls: only this model; several with commas [all]
  --client NAME           ls: only of this client; submit: who asks [all; submit: the address]
  --limit N               ls: how many at most [20]
  --host ADDR[:PORT]      where the house is [127.0.0.1; QUIPU_HOST]
  --port PORT             the port it listens on [11435; QUIPU_PORT]
  --json                  print JSON for programs instead of text for people
  --help                  print this

examples:
  quipu jobs submit night.ndjson --class batch
      one job a line; prints their ids
  echo '{"model":"llama3.2","prompt":"hi"}' | quipu jobs submit - --path /api/generate
      a job from a body
  quipu jobs result 01M7Z02NPBY5W9M7ATPG6V6H9Q > answer.json
      the bytes as the node wrote them

`

exports[`test/cli/main.test.ts > TAP > journal --help says everything journal takes > must match snapshot 1`] = `
usage: quipu journal [options]

Prints facts from the journal of a running house, oldest first, one a line: the last ones, or those
after a seq.

  --after SEQ             begin after this fact; 0 begins with the first [the last ones]
  --limit N|all           how many at most [50]
  --host ADDR[:PORT]      where the house is [127.0.0.1; QUIPU_HOST]
  --port PORT             the port it listens on [11435; QUIPU_PORT]
  --json                  print each fact as JSON, one a line
  --help                  print this

examples:
  quipu journal
      the last 50 facts
  quipu journal --after 0 --limit all --json > facts.ndjson
      all of them, for another program

`

exports[`test/cli/main.test.ts > TAP > models --help says everything models takes > must match snapshot 1`] = `
usage: quipu models [ls] [options]
       quipu models status [NAME] [options]
       quipu models pull NAME [--nodes A,B | --all | --auto N] [options]
       quipu models cancel NAME [--nodes A,B] [options]
       quipu models rm NAME [--nodes A,B] [options]
       quipu models sync [NAME] [options]
       quipu models optimize [options]

Lists every model of the fleet, and the nodes that have it; a star marks those that have it in
memory (ls). Tells how each stands to what its policy wants (status), brings one to nodes and shows
how far it has come (pull), calls that off (cancel), removes one (rm), makes true what policies want
of copies (sync), and says where a copy more, or one less, would serve better (optimize). \`quipu
policy\` says what is wanted.

  --nodes A,B             pull, cancel, rm: these nodes
  --all                   pull: to every node that may have it
  --auto N                pull: to so many nodes, which the house chooses [1]
  --no-wait               pull: do not wait until it is there
  --force                 rm: even what its policy needs
  --dry-run               sync: only say what would be done
  --apply                 optimize: do it
  --host ADDR[:PORT]      where the house is [127.0.0.1; QUIPU_HOST]
  --port PORT             the port it listens on [11435; QUIPU_PORT]
  --json                  print JSON for programs instead of text for people
  --help                  print this

examples:
  quipu models
      what can be asked for, and who can answer
  quipu models --json | jq -r ".[].name"
      the names alone
  quipu models pull llama3.2 --nodes gpu-a,gpu-b
      one after the other, a bar each
  quipu models pull qwen3:32b --auto 2
      where there is room, and where it is asked for
  quipu models sync --dry-run
      what policies want, and the house would do

`

exports[`test/cli/main.test.ts > TAP > nodes --help says everything nodes takes > must match snapshot 1`] = `
usage: quipu nodes [ls] [options]
       quipu nodes show NAME [options]
       quipu nodes add URL [options]
       quipu nodes drain NAME [options]
       quipu nodes resume NAME [options]
       quipu nodes rm NAME [options]

Lists the nodes of a running house and what they are up to, shows all about one (show), adds one or
changes the one of that name, lets one finish what it runs and gives it nothing new (drain), gives
it work again (resume), or forgets it (rm).

  --name NAME             add: what to call it [made from the URL]
  --slots N               add: requests at once per model (its OLLAMA_NUM_PARALLEL) [1]
  --resident N            add: models in memory at once (its OLLAMA_MAX_LOADED_MODELS) [3]
  --weight N              add: how much of the work it should get beside a node of weight 1 [1]
  --hours HOURS           add: when it is wanted, as 18:00-08:00 or mon-fri@18:00-08:00+sat-sun, in
                          local time [always]
  --label KEY=VALUE       add: what to remember of it; repeatable [none]
  --host ADDR[:PORT]      where the house is [127.0.0.1; QUIPU_HOST]
  --port PORT             the port it listens on [11435; QUIPU_PORT]
  --json                  print JSON for programs instead of text for people
  --help                  print this

examples:
  quipu nodes add http://gpu-a:11434 --slots 4
      send work there, four requests at a time
  quipu nodes add http://desk:11434 --hours 20:00-08:00
      somebody's desk by day, the house's by night
  quipu nodes drain gpu-a
      before that machine is taken down

`

exports[`test/cli/main.test.ts > TAP > policy --help says everything policy takes > must match snapshot 1`] = `
usage: quipu policy [ls] [options]
       quipu policy show MODEL [options]
       quipu policy set MODEL KEY=VALUE… [options]
       quipu policy clear MODEL [options]

Says where a model may run, how it is loaded and how many copies there are, whatever its clients ask
for. Keys: nodes=A,B (only these), avoid=A,B (not these), prefer=A,B (these first), label.NAME=VALUE
(only nodes with that label), numCtx=N (the one context length), numCtxMax=N (the longest),
keepAlive=5m (how long it stays in memory; -1 for ever), keepAliveMax=1h (the longest), replicas=2
or replicas=1-3 (so many copies). set adds to what holds already; KEY= takes one back, and clear all
of it.

  --host ADDR[:PORT]      where the house is [127.0.0.1; QUIPU_HOST]
  --port PORT             the port it listens on [11435; QUIPU_PORT]
  --json                  print JSON for programs instead of text for people
  --help                  print this

examples:
  quipu policy set llama3.2 keepAlive=-1 prefer=gpu-a
      keep it in memory for ever, on gpu-a if that is free
  quipu policy set tiny replicas=2
      keep two copies, also when a node is lost
  quipu policy set qwen3:32b label.gpu=4090 numCtxMax=32768
      only where it fits, and no longer than fits

`

exports[`test/cli/main.test.ts > TAP > ps --help says everything ps takes > must match snapshot 1`] = `
usage: quipu ps [options]

Lists the models that are in memory or on their way there, one line for each node that holds one.

  --host ADDR[:PORT]      where the house is [127.0.0.1; QUIPU_HOST]
  --port PORT             the port it listens on [11435; QUIPU_PORT]
  --json                  print JSON for programs instead of text for people
  --help                  print this

example:
  quipu ps
      what is loaded, where, and how busy it is

`

exports[`test/cli/main.test.ts > TAP > queue --help says everything queue takes > must match snapshot 1`] = `
usage: quipu queue [options]

Shows the requests that wait: their turn in their line, how long that is expected to take (and,
after ±, by how much such predictions were wrong, four times in five), and what each one waits for.

  --model NAME            only this model; several with commas [all]
  --limit N               how many at most [1000]
  --host ADDR[:PORT]      where the house is [127.0.0.1; QUIPU_HOST]
  --port PORT             the port it listens on [11435; QUIPU_PORT]
  --json                  print JSON for programs instead of text for people
  --help                  print this

example:
  quipu queue --model tiny:latest
      who waits for that model

`

exports[`test/cli/main.test.ts > TAP > requests --help says everything requests takes > must match snapshot 1`] = `
usage: quipu requests [options]

Lists the requests that are open and the last ones that are over, newest first.

  --state STATE           only these: queued, running, answering, leased, completed, failed,
                          expired, abandoned, cancelled, open (which is the first four); several
                          with commas [all]
  --model NAME            only this model; several with commas [all]
  --node NAME             only what was sent to this node; several with commas [all]
  --client ADDR           only from this address; several with commas [all]
  --limit N               how many at most [20]
  --host ADDR[:PORT]      where the house is [127.0.0.1; QUIPU_HOST]
  --port PORT             the port it listens on [11435; QUIPU_PORT]
  --json                  print JSON for programs instead of text for people
  --help                  print this

examples:
  quipu requests --state open
      what is under way
  quipu requests --state failed,expired --limit 100
      what went wrong lately; \`quipu explain ID\` says why

`

exports[`test/cli/main.test.ts > TAP > serve --help says everything serve takes > must match snapshot 1`] = `
usage: quipu serve [options]

Runs a house until Ctrl-C: one Ollama endpoint in front of the nodes it is given. Without --node it
takes those its journal knows, else an Ollama that answers on this machine, else three simulated
nodes. Every option can also be given as the variable named behind its default.

  --host ADDR[:PORT]      address to listen on; verbs that talk to a running house look for it there
                          [127.0.0.1; QUIPU_HOST]
  --port PORT             port to listen on [11435; QUIPU_PORT]
  --grpc HOST:PORT|off    where the journal is offered over gRPC, in plain text: an address of this
                          machine [off; QUIPU_GRPC]
  --agents HOST:PORT|off  where agents of nodes attach, over mutual TLS; \`quipu pki init\` comes
                          first [off; QUIPU_AGENTS]
  --insecure              speak with agents in plain text, on this machine only: to try things out
                          [off; QUIPU_INSECURE]
  --data DIR              folder of the journal; made when it is not there [./data; QUIPU_DATA]
  --archive-dir DIR       folder of archive files, as seen from the data folder [archive;
                          QUIPU_ARCHIVE_DIR]
  --disk-budget BYTES     what the data folder may take; at 80 % it warns, beyond it nothing new is
                          taken; 0 is no budget [0; QUIPU_DISK_BUDGET]
  --node URL[,name=N][,slots=N][,resident=N][,weight=N][,hours=H][,label.K=V]
                          an Ollama server to send work to; repeatable [none; QUIPU_NODES]
  --embedded on|off       start three simulated nodes when no node is configured, none may attach,
                          and no Ollama answers [on; QUIPU_EMBEDDED]
  --trust CIDR            who may change models and the house when it listens beyond this machine;
                          repeatable [none; QUIPU_TRUST]
  --allow-host NAME       a further name this house is called by (Host header); repeatable [none;
                          QUIPU_ALLOW_HOSTS]
  --origin ORIGIN         a further web origin that may call, as OLLAMA_ORIGINS (* stands for any
                          text); repeatable [none; QUIPU_ORIGINS]
  --pseudonyms on|off     write clients, and who asks for changes, as keyed hashes; the key stays
                          beside the journal [off; QUIPU_PSEUDONYMS]
  --cloud on|off          let names like x:cloud through to the nodes, on their owners' accounts
                          [off; QUIPU_CLOUD]
  --link-local on|off     let nodes have link-local addresses (169.254.0.0/16, fe80::/10) [off;
                          QUIPU_LINK_LOCAL]
  --allow-callback CIDR   addresses that jobs and webhooks may call, beyond those of the public
                          internet; repeatable [none; QUIPU_ALLOW_CALLBACKS]
  --agent-certificate DURATION
                          how long the certificate of an agent lasts; agents renew it at two thirds
                          of that [720h; QUIPU_AGENT_CERTIFICATE]
  --queue-max N           requests that may wait; one more is refused with 503 and Retry-After [512;
                          QUIPU_QUEUE_MAX]
  --client-queue-max N    requests of one client that may wait; one more is refused with 503 and
                          Retry-After [256; QUIPU_CLIENT_QUEUE_MAX]
  --client-running-max N  requests of one client that may run at once; more of them wait, and let
                          others by [100000; QUIPU_CLIENT_RUNNING_MAX]
  --starve-after DURATION
                          wait after which every fourth turn is for those who have waited so long,
                          whatever their priority [2m; QUIPU_STARVE_AFTER]
  --wait-max DURATION     how long a request may wait for a slot before it is refused [10m;
                          QUIPU_WAIT_MAX]
  --attempts-max N        how often a request is sent to a node in all, while no byte of an answer
                          has come [3; QUIPU_ATTEMPTS_MAX]
  --jobs-max N            jobs that may be open; one more is refused with 503 and Retry-After
                          [10000; QUIPU_JOBS_MAX]
  --job-wait-max DURATION
                          how long a job may wait for a slot before it is given up [24h;
                          QUIPU_JOB_WAIT_MAX]
  --job-attempts-max N    how often a job is sent to a node in all; two nodes that die of it end it
                          sooner [5; QUIPU_JOB_ATTEMPTS_MAX]
  --spool-max BYTES       room for the bodies and answers of jobs; the oldest that have ended make
                          place for new ones [4G; QUIPU_SPOOL_MAX]
  --keep-finished DURATION
                          how long the body and the answer of a job are kept after its end, and its
                          Idempotency-Key with them [24h; QUIPU_KEEP_FINISHED]
  --snapshot-every FACTS  facts after which what the house knows is kept for a fast start; 0: never,
                          and the start replays all [50000; QUIPU_SNAPSHOT_EVERY]
  --load-max DURATION     how long loading a model may take [30m; QUIPU_LOAD_MAX]
  --probe-every DURATION  how often each node is looked at, give or take a fifth [5s;
                          QUIPU_PROBE_EVERY]
  --watch-every DURATION  how often agents say how their nodes are, from 1 s to 5 m [5s;
                          QUIPU_WATCH_EVERY]
  --lost-after N          looks in a row without an answer until a node counts as lost [3;
                          QUIPU_LOST_AFTER]
  --suspect-after DURATION
                          silence of a running request after which its node must prove that it still
                          answers [30s; QUIPU_SUSPECT_AFTER]
  --pulls N               models that are pulled at once, in the whole fleet; 0 begins none [1;
                          QUIPU_PULLS]
  --heal-after DURATION   how long a node may be away until its copies of models are made anew
                          elsewhere [1m; QUIPU_HEAL_AFTER]
  --batch off|exact|on|shares
                          which embedding requests that wait may share one call to a node;
                          docs/operating.md tells [on; QUIPU_BATCH]
  --batch-max N           requests in one such call, and inputs in it [32; QUIPU_BATCH_MAX]
  --batch-bytes-max BYTES
                          bytes of inputs in one such call [256K; QUIPU_BATCH_BYTES_MAX]
  --body-max BYTES        largest request body; uploads of blobs have no limit [64M; QUIPU_BODY_MAX]
  --connections-max N     connections of clients at once [4096; QUIPU_CONNECTIONS_MAX]
  --slow-move off|interactive|batch|all
                          class of requests whose answer goes to another node when it begins far too
                          slowly [off; QUIPU_SLOW_MOVE]
  --scrub DURATION        how often the whole journal is read again and verified while the house
                          runs; 0 for never [24h; QUIPU_SCRUB]
  --grace DURATION        how long answers under way may take to end when the house stops [5s;
                          QUIPU_GRACE]
  --kafka brokers=HOST:PORT[+…][,topic=T][,sasl=M,user=U,password-file=PATH][,ssl][,ca=PATH]
                          a topic of Kafka that every fact is copied to; docs/operating.md tells
                          [none; QUIPU_KAFKA]
  --log LEVEL             how much to say on stderr: silent, error, warn, info, debug [warn;
                          QUIPU_LOG]
  --help                  print this

examples:
  quipu serve
      on this machine; with no Ollama in sight, on simulated nodes
  quipu serve --host 0.0.0.0 --trust 10.0.0.0/8 --node http://gpu-a:11434 --node http://gpu-b:11434,slots=4
      for a network, in front of two machines

`

exports[`test/cli/main.test.ts > TAP > sim --help says everything sim takes > must match snapshot 1`] = `
usage: quipu sim [options]

Runs simulated Ollama nodes on this machine until Ctrl-C: Ollama as a client sees it, with models
that are only names, answers that are made up, and the waits of a real one.

  --nodes N               how many nodes [3]
  --port PORT             port of the first one; the others follow; 0 takes free ones [21434]
  --host ADDR             address to listen on; Host headers are checked on a loopback one
                          [127.0.0.1]
  --models NAMES          models present, by name: embed, think, tools, vision, audio, insert in a
                          name say what it can [tiny:latest,embed:latest]
  --slots N               requests a model answers at once (OLLAMA_NUM_PARALLEL) [1]
  --resident N            models in memory at once (OLLAMA_MAX_LOADED_MODELS) [1]
  --max-queue N           requests that may wait for a load (OLLAMA_MAX_QUEUE) [512]
  --load-ms N             how long a model takes to load [300]
  --prefill-tps N         prompt tokens a second [2000]
  --decode-tps N          answer tokens a second, in each slot [60]
  --pull-bytes-per-sec N  bytes a second of a pull or push [1000000000]
  --keep-alive-ms N       how long an idle model stays (OLLAMA_KEEP_ALIVE) [300000]
  --num-ctx N             context of a request that asks for none (OLLAMA_CONTEXT_LENGTH) [4096]
  --words N               tokens of an answer that nothing cuts short [32]
  --seed N                nodes with equal seeds hold equal models and give equal answers [1]
  --speed N               divides every delay, keep-alives too; replies report undivided time [1]
  --cloud                 whether cloud models are enabled (nobody is signed in)
  --version V             the version it claims [0.33.0]
  --json                  print JSON for programs instead of text for people
  --help                  print this

examples:
  quipu sim --nodes 3 --models tiny:latest,embed:latest
      three nodes with the same two models
  quipu sim --decode-tps 20 --load-ms 8000
      slow ones, as if on a CPU

`

exports[`test/cli/main.test.ts > TAP > simulate --help says everything simulate takes > must match snapshot 1`] = `
usage: quipu simulate [options]

Runs a trace of requests against a simulated fleet, under the very scheduler of a house and under
policies that bind a request to a node when it comes, thousands of times faster than life. Requests
come when they come, however late the answers are. Says how long they waited and what it took; the
same seed gives the same figures. docs/backtest.md says what is modelled, and what is not.

  --trace FILE.csv        requests: TIMESTAMP,ContextTokens,GeneratedTokens, and Model, Client,
                          Priority where it has them [a synthetic one]
  --synthetic SPEC        invent a trace; what is not named is as in the default [requests=6000,
                          rate=5, burst=0.2, prompt=750, prompt-spread=0.95, prompt-max=16000,
                          output=165, output-spread=0.85, output-max=1000]
  --requests N            only the first ones [6000]
  --fleet FILE|preset:A-D
                          nodes and models, in YAML. A: 1 model on 5 equal nodes. B: 1 model on 5
                          nodes of speed 2 to 0.25. C: 4 models on 5 equal nodes, 1 in memory. D: 6
                          models on 5 nodes of speed 2 to 0.25, 2 in memory [preset:C]
  --policy NAMES|all      who decides, several with commas: quipu, round-robin, least-connections,
                          power-of-two, least-tokens, warm-first, eta [quipu,least-connections]
  --utilisation U|trace   stretch time until the fleet is this busy (0.5 is half); trace leaves it
                          as it is [the preset's; for a file: trace]
  --models N              how many of the fleet's models are asked for, the first most often (Zipf,
                          1.1), where the trace names none [all]
  --clients N             how many ask, likewise [8]
  --patience DURATION     how long a request waits for a slot [for ever]
  --seeds N               run so often, each with its own draws; figures are medians [1]
  --seed S                the first seed [1]
  --svg FILE              draw what the nodes did, in the run of the first seed
  --svg-span DURATION     draw only the first part, larger [all of it]
  --json                  print JSON for programs instead of text for people
  --help                  print this

examples:
  quipu simulate --fleet preset:C --policy all --seeds 5
      four models, room for one: every policy
  quipu simulate --trace week.csv --fleet ours.yaml --svg week.svg
      your requests, your nodes, and a picture
  quipu simulate --synthetic rate=2,output=400 --utilisation 0.8
      long answers, and nodes that are busy

`

exports[`test/cli/main.test.ts > TAP > stats --help says everything stats takes > must match snapshot 1`] = `
usage: quipu stats [options]
       quipu stats TABLE [options]

Prints one of the tables of what happened, newest first, with the columns that /quipu/stats gives;
without a name, which tables there are. Servers are named by their addresses, times are UTC,
latencies milliseconds.

  --by PERIOD             request_stats: in which portions: hour, day, week [hour]
  --server NAME           only this server, by address or name of the node; several with commas
                          [all]
  --model NAME            only this model; several with commas [all]
  --type TYPE             server_stats: only health, load, latency, cpu, memory_free, disk_free,
                          gpu, gpu_memory, gpu_temperature, gpu_power; several with commas [all]
  --status STATUS         inference_queue: only queued, running, leased, completed, failed, expired,
                          abandoned, cancelled; several with commas [all]
  --setting NAME          config: only this setting; several with commas [all]
  --since TIME            only what is not older: 90m, 24h, 7d, or 2026-01-31, or 2026-01-31T09:05
                          [all there is; server_stats: 1h]
  --step STEP             server_stats: how far apart: 10s, 5m, 1h [the finest that goes back to
                          --since]
  --limit N               how many rows at most [100; 10000 with --csv]
  --csv                   print CSV
  --host ADDR[:PORT]      where the house is [127.0.0.1; QUIPU_HOST]
  --port PORT             the port it listens on [11435; QUIPU_PORT]
  --json                  print JSON for programs instead of text for people
  --help                  print this

examples:
  quipu stats
      which tables there are
  quipu stats request_stats --by day
      how much was asked, and how long it took, day by day
  quipu stats server_stats --server gpu-a --since 7d --csv > gpu-a.csv
      a week of one server

`

exports[`test/cli/main.test.ts > TAP > subscriptions --help says everything subscriptions takes > must match snapshot 1`] = `
usage: quipu subscriptions [list] [options]
       quipu subscriptions create NAME [options]
       quipu subscriptions show NAME [options]
       quipu subscriptions ack NAME SEQ [options]
       quipu subscriptions park NAME [options]
       quipu subscriptions resume NAME [options]
       quipu subscriptions delete NAME [options]

Named readers of the journal, whose place the house keeps: lists them and how far behind each is,
makes one (create), says that everything up to a fact is dealt with (ack), stops one (park) and lets
it go on (resume), or forgets it (delete). Programs take the facts at
/quipu/subscriptions/NAME/take, several of them sharing one if they like; with --url the house
brings them itself, and parks the subscription when nobody takes them there.

  --from WHERE            create: begin with start, now, the fact of this seq, or a time, ISO 8601
                          [now]
  --kind KIND             create: only facts about these kinds, as node,breaker [all]
  --type TYPE             create: only these facts, as node.lost; one that ends with a dot stands
                          for all that begin so [all]
  --id ID                 create: only facts about these things [all]
  --client CLIENT         create: only facts of requests of these clients [all]
  --model MODEL           create: only facts about these models [all]
  --node NODE             create: only facts about these nodes [all]
  --url URL               create: a webhook: the house brings the facts there [none]
  --secret-file FILE      create: sign what is sent with what stands in this file [unsigned]
  --format json|ndjson    create: how a batch is written [json]
  --size N                create: facts in one batch [100]
  --linger DURATION       create: how long the first fact of a batch may wait for others [1s]
  --failures N            create: failures in a row after which the house stops calling and parks it
                          [20]
  --host ADDR[:PORT]      where the house is [127.0.0.1; QUIPU_HOST]
  --port PORT             the port it listens on [11435; QUIPU_PORT]
  --json                  print JSON for programs instead of text for people
  --help                  print this

examples:
  quipu subscriptions create billing --type request.completed --from start
      for a program that counts tokens, from the first fact on
  quipu subscriptions create pager --kind node --url https://hooks.example/quipu --secret-file hook.key
      call when something happens to a node
  quipu subscriptions resume pager
      its receiver is well again: go on where it stopped

`

exports[`test/cli/main.test.ts > TAP > top --help says everything top takes > must match snapshot 1`] = `
usage: quipu top [options]

Shows a running house, live: its nodes with bars for GPUs and memory, which models are loaded and
how busy they are, what is on its way, who waits. Keys choose a node, drain it and give it work
again; ? lists them. Where stdout is no terminal, it prints what there is once, as text. What no
agent tells of a node is shown as ?.

  --interval TIME         how often to look [2s]
  --once                  print what there is, as text, and end
  --no-color              no colours; NO_COLOR does the same
  --ascii                 no letters beyond ASCII; LANG=C does the same
  --host ADDR[:PORT]      where the house is [127.0.0.1; QUIPU_HOST]
  --port PORT             the port it listens on [11435; QUIPU_PORT]
  --json                  print JSON for programs instead of text for people
  --help                  print this

examples:
  quipu top
      watch the house
  ssh -t attic quipu top
      the same from elsewhere
  quipu top --json | jq .house.requests
      everything it would show, for programs

`

exports[`test/cli/main.test.ts > TAP > version --help says everything version takes > must match snapshot 1`] = `
usage: quipu version [options]

Says which Quipu this is, and which Node it runs on.

  --json                  print JSON for programs instead of text for people
  --help                  print this

example:
  quipu version
      print both

`

exports[`test/cli/main.test.ts > TAP > without a verb it says what there is > must match snapshot 1`] = `
Quipu VERSION: one Ollama endpoint in front of many Ollama nodes.

usage: quipu VERB [options]

  serve                   run a house
  agent                   run the agent of one Ollama server, for a house that cannot reach it
  sim                     run simulated Ollama nodes
  nodes                   list, show, add, drain, resume and remove nodes
  pki                     make the authority of the agents, invite nodes, send them away
  models                  list, pull, remove and spread models
  policy                  say where a model may run, and how it is loaded
  ps                      list the models in memory, and where
  top                     watch the house, live
  queue                   show who waits, and for what
  jobs                    submit jobs, list them, fetch their answers, cancel them
  requests                list the last requests
  explain                 tell why a request went where it went
  at                      tell what the house looked like at some moment
  diff                    tell what is different between two moments, and who changed it
  stats                   print tables of what happened
  events                  follow the facts as they happen
  subscriptions           list, make, park, resume and delete named readers of the facts
  journal                 page through the facts
  audit                   verify a journal from its first fact to its last
  checkpoint              print what the journal is, signed; show or change the key
  prove                   prove that a fact is in the journal, or that none was changed
  verify-proof            verify such a proof, with no house and no journal
  mirror                  show how far the copy in Kafka has come
  restore                 make a journal anew out of its copy in Kafka
  doctor                  say what is wrong with a data folder, and what to do
  archive                 put older facts into files, and take them off the disk
  simulate                run a trace against a simulated fleet, under several policies
  backtest                run a journal again, under another policy or on another fleet
  forget                  take the name of a client out of the journal
  erase                   erase what is kept of a request or a client, and prove it
  config                  show every setting and who set it; set some while a house runs
  version                 print the version

examples:
  quipu serve             run a house on this machine; with no Ollama in sight, on simulated nodes
  quipu VERB --help       every option of a verb, with its default

`
