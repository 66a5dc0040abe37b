/** The house, assembled top to bottom. */
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import { Refusal } from '../machines/entity.ts'
import { replicaId } from '../machines/replica.ts'
import { Archivist } from './archive/archivist.ts'
import { Budget } from './archive/budget.ts'
import { Rewriting } from './archive/rewriting.ts'
import { bindTo } from './backtest/hindsight.ts'
import { type BoundPolicy, POLICIES } from './backtest/policies.ts'
import { Callbacks } from './callbacks/callbacks.ts'
import { Caller } from './callbacks/caller.ts'
import { type Clock, systemClock } from './clock.ts'
import type { Config } from './config.ts'
import { Engine } from './engine/engine.ts'
import { Failure } from './failure.ts'
import { Agents } from './fleet/agents.ts'
import { openCertified } from './fleet/certified.ts'
import { drain } from './fleet/drain.ts'
import { Health } from './fleet/health.ts'
import { inPlainText, strangers } from './fleet/introductions.ts'
import { Keeper } from './fleet/keeper.ts'
import { discover, type Found, register } from './fleet/register.ts'
import { Watching } from './fleet/watching.ts'
import { Forgetting } from './forgetting/forgetting.ts'
import { Admission } from './gateway/admission.ts'
import { agentDoors } from './gateway/agents.ts'
import { Bodies } from './gateway/body.ts'
import { checkpointDoors } from './gateway/checkpoints.ts'
import { control } from './gateway/control.ts'
import { Batches } from './gateway/embedding/batches.ts'
import { events } from './gateway/events.ts'
import { openGrpc } from './gateway/grpc.ts'
import { Inference } from './gateway/inference.ts'
import { jobDoors } from './gateway/jobs/doors.ts'
import { Jobs } from './gateway/jobs/jobs.ts'
import { Leases } from './gateway/jobs/leases.ts'
import { workers } from './gateway/jobs/workers.ts'
import { metrics } from './gateway/metrics.ts'
import { mirrorDoor } from './gateway/mirror.ts'
import { OllamaApi } from './gateway/ollama.ts'
import { statuses } from './gateway/refusals.ts'
import { Runs } from './gateway/run.ts'
import { openServer } from './gateway/server.ts'
import { subscriptions } from './gateway/subscriptions.ts'
import { TurnedAway } from './gateway/turned.ts'
import { Archives } from './journal/archives.ts'
import { Beginnings } from './journal/beginning.ts'
import { badTables } from './journal/blocks.ts'
import { Damage } from './journal/damage.ts'
import { Feed } from './journal/feed.ts'
import { tablesIn } from './journal/folder.ts'
import type { Journal } from './journal/journal.ts'
import { archivesIn, openLevelJournal } from './journal/level.ts'
import { Stories } from './journal/stories.ts'
import { wantedBy } from './journal/wanted.ts'
import { liveConfig } from './live.ts'
import { JournalTopic } from './mirror/journaltopic.ts'
import { Mirror } from './mirror/mirror.ts'
import { namesOf, openNaming } from './naming.ts'
import { Ollamas } from './ollama/ollama.ts'
import { Past } from './past/past.ts'
import { travel } from './past/travel.ts'
import { decodeTps } from './projections/estimates.ts'
import { forgetFacts, forgetNames, openOf } from './projections/forget.ts'
import { type Open, type RequestsProjection, runningOn } from './projections/requests.ts'
import { targetsOf } from './projections/subscriptions.ts'
import { views } from './projections/views.ts'
import { Checkpoints } from './proofs/checkpoints.ts'
import { Scrub } from './proofs/scrub.ts'
import { Puller } from './registry/puller.ts'
import { Registry } from './registry/registry.ts'
import { Affinity } from './scheduler/affinity.ts'
import { expectWait, foresee } from './scheduler/eta.ts'
import { weigh } from './scheduler/hindsight.ts'
import { loader } from './scheduler/loader.ts'
import { choose, scheduler } from './scheduler/scheduler.ts'
import { Seats } from './scheduler/seats.ts'
import { elsewhere } from './scheduler/trial.ts'
import { trips } from './scheduler/trips.ts'
import { openSecret } from './secret.ts'
import { type Sim, startSims } from './sim/sim.ts'
import { Snapshots } from './snapshots/snapshots.ts'
import { openSpool } from './spool/store.ts'
import { ServerStats } from './stats/sampler.ts'
import { marksIn } from './subscriptions/marks.ts'
import { Subscriptions } from './subscriptions/subscriptions.ts'
import { targetsIn } from './subscriptions/targets.ts'

/** How long somebody may look for the past in a house that has other things to do. */
const PAST_MS = 45_000
/** How long a client that was sent away may take to read why. */
const CUT_MS = 500

export interface HouseOptions {
  readonly config: Config
  readonly version: string
  readonly clock?: Clock
  /** Instead of the one on disk in `config.data`; then nothing is kept there but what jobs need. */
  readonly journal?: Journal
  /** Called for what should never happen. Default: the process ends, and the journal brings it back. */
  readonly onBug?: (error: unknown) => void
}

export interface House {
  readonly url: string
  readonly address: string
  readonly port: number
  /** Where it offers the journal over gRPC, as `127.0.0.1:50051`; undefined where it does not. */
  readonly grpc: string | undefined
  /** Where agents attach, as `127.0.0.1:11436`; undefined where they cannot. */
  readonly agents: string | undefined
  /** Where its nodes came from. */
  readonly nodes: Found
  /** Facts in the journal at start; the one after which a snapshot was taken up, 0 for none; and how long both took. */
  readonly facts: number
  readonly snapshotSeq: number
  readonly replayMs: number
  readonly journal: Journal
  readonly engine: Engine
  /** What holds now, whatever was set meanwhile. */
  readonly config: Config
  close(): Promise<void>
}

export async function openHouse(options: HouseOptions): Promise<House> {
  const { config: startConfig, version, clock = systemClock, onBug = crash } = options
  const { data: dir, archiveDir } = startConfig
  const journal = options.journal ?? (await openLevelJournal({ dir, clock, create: true, archiveDir }))
  const closing: (() => unknown)[] = [() => journal.close()]
  const close = async (): Promise<void> => {
    for (const step of closing.reverse()) await step()
    closing.length = 0
  }
  try {
    const onDisk = options.journal === undefined ? dir : undefined
    const early: string[] = []
    let tell = (message: string): void => void early.push(message)
    const warn = (message: string): void => tell(message)
    const began = clock.monotonic()
    const snapshots = new Snapshots({
      dir: onDisk,
      journal,
      clock,
      everyFacts: startConfig.snapshotFacts,
      warn,
    })
    closing.push(() => snapshots.close())
    const snapshot = await snapshots.newest()
    const answers = views(snapshot?.views)
    const engine = new Engine(journal, clock, Object.values(answers))
    closing.push(() => engine.close())
    const { seq: facts } = await engine.replay({ from: snapshot })
    const replayMs = clock.monotonic() - began
    snapshots.start(engine, answers)
    const config = liveConfig(startConfig, answers.settings.state.values)
    const naming = await openNaming(dir, config.pseudonyms)
    const common = { engine, clock, config, startConfig, journal, version, naming, ...answers }

    const checkpoints = new Checkpoints({
      ...common,
      dir: onDisk === undefined ? undefined : join(onDisk, 'checkpoints'),
      warn,
    })
    await checkpoints.open()
    closing.push(() => checkpoints.close())
    const scrub = new Scrub({
      ...common,
      dir: onDisk,
      tables: seen => badTables(tablesIn(dir), seen),
      warn,
    })
    closing.push(() => scrub.close())

    const spool = await openSpool({ dir, clock, bytesMax: config.spoolMaxBytes })
    closing.push(() => spool.close())

    /** Where agents attach, from when they can. */
    let attach: string | undefined
    const trust = startConfig.insecure
      ? undefined
      : await openCertified({
          ...common,
          dir,
          needed: startConfig.agents !== 'off',
          warn,
          expel: (...order) => agents.expel(...order),
        })
    closing.push(() => trust?.close())
    const agents = new Agents({
      ...common,
      introductions: startConfig.insecure ? inPlainText : (trust?.introductions ?? strangers),
      look: name => look(name),
      onBug,
    })
    const ollamas = new Ollamas({ ...config, lines: url => agents.wire(url) })
    closing.push(() => ollamas.close())
    const ollama = (url: string) => ollamas.at(url)

    const reading = {
      feed: new Feed(common),
      stories: new Stories({ ...common, remembered: request => answers.history.state.get(request) }),
      beginnings: new Beginnings(common),
    }

    const seats = new Seats(common)
    const batches = new Batches(common)
    const affinity = new Affinity(clock)
    const seating = {
      ...common,
      riders: (request: string) => batches.riders(request),
      affinity,
      headOf: (request: string) => seats.wish(request)?.head,
    }
    const outlook = (open: Open) => choose(seating, open)
    const runs = new Runs({
      ...common,
      batches,
      upstream: ollama,
      decodeTps: (model, node) =>
        decodeTps(
          answers.estimates.state,
          replicaId(model, node),
          runningOn(answers.requests.state, node, model),
        ),
      elsewhere: open => elsewhere(open, outlook),
    })
    const health = new Health({
      ...common,
      ollama,
      forget: url => void ollamas.forget(url),
      settings: config,
      silences: () => runs.silences(),
    })
    closing.push(() => health.close())
    const look = (name: string) => health.look(name)
    const watching = new Watching({
      ...common,
      links: agents,
      told: node => agents.told(node),
      look,
      settings: config,
    })
    closing.push(() => watching.close())
    const samples = new ServerStats({
      ...common,
      agents: watching,
      vitals: health.vitals,
      dir: onDisk === undefined ? undefined : join(onDisk, 'stats'),
      warn,
    })
    const keeper = new Keeper({ ...common, look, ollama })
    const api = new OllamaApi({
      ...common,
      look,
      vitals: health.vitals,
      upstream: ollama,
      hasBlob: (url, digest, signal) => ollama(url).hasBlob(digest, signal),
    })
    const budget = new Budget({ clock, config, dir, warn })
    await budget.look()
    closing.push(() => budget.close())
    const admission = new Admission({
      budget,
      ...common,
      nodes: api.nodes,
      foresee: order => foresee(seating, order),
    })
    const work = new Jobs({
      ...common,
      spool,
      admission,
      runs,
      secret: await openSecret(dir),
      touched: (node, keepAlive) => api.nodes.stays(node, keepAlive),
    })
    await work.tidy.sweep(targetsOf(answers.subscriptions.state))
    const leases = new Leases({ ...common, spool, tidy: work.tidy })
    const caller = new Caller(common)
    const callbacks = new Callbacks({ ...common, caller, target: job => work.callback(job) })
    closing.push(() => callbacks.close())
    const marks = marksIn({ ...common, dir, warn })
    await marks.open()
    closing.push(() => marks.close())
    const named = new Subscriptions({
      ...common,
      turns: reading.feed.turns,
      marks,
      wantedBy: filter => wantedBy(filter, reading.stories, naming),
      targets: targetsIn(spool),
      call: (...letter) => caller.call(...letter),
      mayCall: target => caller.check(target),
    })
    closing.push(() => named.close())
    const registry = new Registry({
      ...common,
      look,
      ollama,
      freeBytes: node => watching.of(node)?.status.load?.diskFreeBytes,
      heard: node => {
        const { status, heardAt = 0 } = watching.of(node) ?? {}
        return status?.present && { at: heardAt, models: status.present.models }
      },
      puller: new Puller({ clock, upstream: ollama, line: node => agents.of(node) }),
    })
    closing.push(() => registry.close())
    const archives = new Archives(archivesIn(dir, archiveDir), journal.id)
    const archivist = new Archivist({
      ...common,
      archives,
      covering: seq => checkpoints.covering(seq),
      warn,
    })
    closing.push(() => archivist.close())
    const inference = new Inference({ ...common, seats, admission, runs, batches, jobs: work, api })
    const bodies = new Bodies(clock)
    const { kafka, kafkaPassword: password } = startConfig
    const topic = kafka && new JournalTopic({ spec: kafka, clock, password })
    const mirror =
      topic && new Mirror({ ...common, topic, onBug, say: (level, line) => server.log[level](line) })
    const gauges = metrics({
      pulling: registry,
      ...common,
      budget,
      affinity,
      named,
      snapshots,
      spool,
      checkpoints,
      scrub,
      mirror,
      agents: watching,
      vitals: health.vitals,
    })
    const forgetting = new Forgetting({
      ...common,
      dir,
      warn,
      open: names => openOf(answers, names),
      files: new Rewriting({ ...common, archives, archivist, warn }),
      copies: [
        names => forgetNames(answers, names),
        async (_names, left) => {
          for await (const records of left(journal)) forgetFacts(answers, records)
        },
        () => snapshots.drop(),
      ],
    })
    closing.push(() => forgetting.close())
    const turnedAway = new TurnedAway(common)
    closing.push(() => turnedAway.close())
    const server = await openServer({
      clock,
      config,
      bodies,
      inference,
      onBug,
      naming,
      turnedAway: code => turnedAway.count(code),
      ollama: api,
      control: async app => {
        await app.register(control, {
          ...common,
          look,
          agents: watching,
          vitals: health.vitals,
          samples,
          archivist,
          registry,
          budget,
          register: (spec, by) => register(common, spec, 'api', by),
          choose: outlook,
          expect: (open, ahead) => expectWait(seating, open, ahead),
          past: new Past({
            journal,
            snapshots,
            clock,
            starveMs: set => liveConfig(startConfig, set).starveMs,
            zone: 'UTC',
            deadlineMs: PAST_MS,
          }),
          forget: async (client, by) => forgetting.forget(await namesOf(dir, client), by),
          hindsight: {
            moments: seqs =>
              travel(
                { journal, snapshots },
                seqs.map(seq => ({ seq })),
              ),
            weigh,
            bind: (policy, moment, id) => bindTo(policy as BoundPolicy, moment, id),
            bound: Object.keys(POLICIES),
          },
        })
        await app.register(jobDoors, {
          ...common,
          spool,
          admission,
          bodies,
          work,
          expect: open => expectWait(seating, open),
          mayCall: target => caller.check(target),
        })
        await app.register(workers, { ...common, leases, tidy: work.tidy })
        await app.register(events, { ...common, ...reading, named })
        await app.register(checkpointDoors, { ...common, checkpoints })
        await app.register(subscriptions, { ...common, ...reading, named })
        await app.register(agentDoors, {
          ...common,
          attachAt() {
            if (attach !== undefined && trust !== undefined) return attach
            const why = startConfig.insecure
              ? 'this house speaks with agents in plain text (--insecure), so there is nothing to join'
              : 'this house listens for no agents; start it with --agents HOST:PORT'
            throw new Refusal('agent.off', why)
          },
          invite: (...order) => trust!.joining.invite(...order),
        })
        await app.register(mirrorDoor, { ...common, mirror })
        await app.register(gauges.plugin)
      },
    })

    tell = message => server.log.warn(message)
    for (const message of early) tell(message)

    checkpoints.start()
    await scrub.open()
    scrub.start()
    await samples.open()
    samples.start()
    closing.push(() => samples.close())
    engine.start(
      seats.reactor,
      scheduler(seating),
      trips(common),
      drain(common),
      loader({
        ...common,
        look,
        load: (url, model, order) => keeper.load(url, model, order),
        unload: (url, model, order) => ollama(url).unload(model, order),
        wish: request => seats.wish(request),
      }),
      agents.reactor,
      ...(trust === undefined ? [] : [trust.reactor]),
      health.reactor,
      watching.reactor,
      keeper.reactor,
      ...registry.reactors,
      gauges.reactor,
      ...work.reactors,
      callbacks.reactor,
      named.reactor,
      archivist.reactor,
      budget.reactor,
      forgetting.reactor,
    )
    closing.push(
      journal.watch(() => {
        if (journal.writable || journal.closed) return
        seats.dismiss()
        // What was acknowledged is gone from the disk: nothing can be promised any more.
        journal.flushed().catch(error => error instanceof Damage && onBug(error))
      }),
    )

    mirror?.start()
    // Right before the journal: the last facts are for it, too.
    closing.splice(1, 0, () => mirror?.close())
    // Whatever cannot be opened is found before anybody is let in.
    closing.push(() => agents.close(CUT_MS))
    attach =
      startConfig.agents === 'off'
        ? undefined
        : await agents.listenFor({ where: startConfig.agents, statuses })
    await listen(() => server.listen({ host: config.host, port: config.port }), config)
    const grpc =
      startConfig.grpc === 'off'
        ? undefined
        : await openGrpc({ ...common, ...reading, onBug }, startConfig.grpc)
    if (grpc !== undefined) closing.push(() => grpc.close())
    const sims: Sim[] = []
    closing.push(() => Promise.all(sims.map(sim => sim.close())))
    closing.push(() => stop(server, answers.requests, seats, work, { clock, config }))
    const { address, port } = server.server.address() as AddressInfo
    const nodes = await discover({
      ...common,
      ollama,
      embed: async () => {
        sims.push(...(await startSims({ nodes: 3, resident: 1, clock })))
        return sims.map(({ name, url }) => ({ name, url, residentMax: 1, labels: { simulated: 'true' } }))
      },
    })
    // Agents come by themselves, and have some seconds for that.
    const dialled = [...answers.fleet.state.values()].filter(({ origin }) => origin !== 'agent')
    await Promise.all(dialled.map(({ name }) => look(name)))
    const host = address.includes(':') ? `[${address}]` : address
    return {
      url: `http://${host}:${port}`,
      address,
      port,
      grpc: grpc?.address,
      agents: attach,
      nodes,
      facts,
      snapshotSeq: snapshot?.seq ?? 0,
      replayMs,
      journal,
      engine,
      config,
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

async function listen(start: () => Promise<unknown>, { host, port }: Config): Promise<void> {
  try {
    await start()
  } catch (error) {
    const { code } = error as { code?: string }
    const why: Record<string, string> = {
      EADDRINUSE: 'something listens there already: another house? choose another with --port',
      EADDRNOTAVAIL: 'this machine does not have that address',
      EACCES: 'this user may not listen there; ports below 1024 are for root',
    }
    if (code === undefined || why[code] === undefined) throw error
    throw new Failure('house.address', `cannot listen on ${host}:${port}: ${why[code]}`, { cause: error })
  }
}

/**
 * Takes nothing new, lets what runs end for a while, then sends everybody away. Each request gets its last fact, but for
 * jobs: they are for the next house.
 */
async function stop(
  server: FastifyInstance,
  { state }: RequestsProjection,
  seats: Seats,
  jobs: Jobs,
  { clock, config }: { readonly clock: Clock; readonly config: Config },
): Promise<void> {
  const closed = server.close()
  const late = clock.monotonic() + config.graceMs
  jobs.halt()
  while (clock.monotonic() < late && [...state.open.values()].some(open => !open.job || jobs.runs(open.id))) {
    await new Promise<void>(resolve => clock.after(50, resolve))
  }
  seats.stop()
  await jobs.stop()
  const cut = clock.after(CUT_MS, () => server.server.closeAllConnections())
  await closed
  cut.cancel()
}

function crash(error: unknown): void {
  console.error(error)
  process.exit(70)
}
