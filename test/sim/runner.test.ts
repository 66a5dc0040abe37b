import t from 'tap'
import { virtualClock } from '../../src/clock.ts'
import type { Client } from '../../src/sim/client.ts'
import { parseName } from '../../src/sim/names.ts'
import { Busy, type Lease, type Limits, residency } from '../../src/sim/runner.ts'
import { type StoredModel, shipped } from '../../src/sim/store.ts'
import { tune } from '../../src/sim/tuning.ts'

/** A world with a clock that stands still, in which every model takes a second to load. */
function world(limits: Partial<Limits> = {}) {
  const clock = virtualClock()
  const memory = residency({
    clock,
    slots: 1,
    resident: 1,
    maxQueue: 512,
    keepAliveMs: 300_000,
    scale: ms => ms,
    loadMs: () => 1000,
    ...limits,
  })
  const order: string[] = []

  function want(
    name: string,
    { keepAliveMs, options }: { keepAliveMs?: number; options?: Record<string, unknown> } = {},
  ) {
    const client = someone()
    const request: { client: typeof client; lease?: Lease; fault?: Error } = { client }
    const wanted = {
      model: model(name),
      options: tune(model(name), options, undefined, 4096).load,
      keepAliveMs,
    }
    const leased = (lease: Lease): void => {
      request.lease = lease
      order.push(name)
    }
    const failed = (error: Error): void => {
      request.fault = error
    }
    try {
      const leasing = memory.acquire(wanted, client)
      if (leasing instanceof Promise) leasing.then(leased, failed)
      else leased(leasing)
    } catch (error) {
      failed(error as Error)
    }
    return request
  }

  /** A request that comes, is served and goes. */
  async function use(name: string, wish: Parameters<typeof want>[1] = {}): Promise<void> {
    const request = want(name, wish)
    await clock.advance(1000)
    request.lease!.end()
  }

  const listed = (): string[] => memory.list().map(one => one.model.name.model)
  return { clock, memory, want, use, listed, order }
}

function someone(): Client & { leave(): void } {
  const farewells = new Set<() => void>()
  return {
    gone: false,
    whenGone(run) {
      farewells.add(run)
      return () => farewells.delete(run)
    },
    leave() {
      ;(this as { gone: boolean }).gone = true
      for (const run of farewells) run()
    },
  }
}

function model(name: string): StoredModel {
  return { ...shipped(1, { name }), name: parseName(name), modifiedAt: 0 }
}

t.test('a model takes its time to load and is not listed until then', async t => {
  const { clock, want, listed } = world()
  const request = want('a')
  await clock.advance(999)
  t.equal(request.lease, undefined)
  t.same(listed(), [])
  await clock.advance(1)
  t.ok(request.lease)
  t.same(listed(), ['a'])
})

t.test('loads are serial', async t => {
  const { clock, want, listed } = world({ resident: 3 })
  want('a')
  want('b')
  want('c')
  await clock.advance(1000)
  t.same(listed().sort(), ['a'])
  await clock.advance(1000)
  t.same(listed().sort(), ['a', 'b'])
  await clock.advance(1000)
  t.same(listed().sort(), ['a', 'b', 'c'])
})

t.test('the shortest keep_alive is evicted first, not the least recently used', async t => {
  const { use, listed } = world({ resident: 3 })
  await use('forever', { keepAliveMs: Number.POSITIVE_INFINITY })
  await use('long', { keepAliveMs: 600_000 })
  await use('short', { keepAliveMs: 60_000 })
  await use('new')
  t.same(listed().sort(), ['forever', 'long', 'new'])
  await use('newer', { keepAliveMs: 700_000 })
  t.same(listed().sort(), ['forever', 'long', 'newer'], 'the default of five minutes was the shortest')
})

t.test('an idle model is evicted before a busy one with a shorter keep_alive', async t => {
  const { clock, want, use, listed } = world({ resident: 2 })
  await use('idle', { keepAliveMs: 600_000 })
  want('busy', { keepAliveMs: 1000 })
  await clock.advance(1000)
  await use('new')
  t.same(listed().sort(), ['busy', 'new'])
})

t.test('when all are busy the eviction waits, and every other cold request behind it', async t => {
  const { clock, want, order } = world({ resident: 1 })
  const busy = want('busy')
  await clock.advance(1000)
  want('cold')
  want('colder')
  await clock.advance(60_000)
  t.same(order, ['busy'])
  busy.lease!.end()
  await clock.advance(1000)
  t.same(order, ['busy', 'cold'])
})

t.test('a warm model goes on while a cold one loads', async t => {
  const { clock, want, use, order } = world({ resident: 2 })
  await use('warm')
  want('cold')
  await clock.advance(500)
  want('warm')
  t.same(order, ['warm', 'warm'])
})

t.test('maxQueue counts cold requests only', async t => {
  const { clock, want, use } = world({ resident: 2, maxQueue: 2 })
  await use('warm')
  want('cold')
  want('cold')
  want('cold')
  t.type(want('cold').fault, Busy, 'one loads, two wait, and this one is too much')
  t.type(want('other').fault, Busy)
  t.ok(want('warm').lease, 'a warm request is not counted')
  await clock.advance(1000)
  t.ok(want('cold').lease, 'and those for the model being loaded were')
})

t.test('warm requests wait for a slot without a limit, in their order', async t => {
  const { clock, want, use } = world({ maxQueue: 1 })
  await use('warm')
  const served: number[] = []
  const requests = Array.from({ length: 40 }, () => want('warm'))
  for (const [i, { lease, client }] of requests.entries()) {
    const turn = lease!.slot(client)
    if (turn === undefined) served.push(i)
    else turn.then(() => served.push(i))
  }
  await clock.advance(0)
  t.same(served, [0])
  for (const { lease } of requests) {
    lease!.end()
    await clock.advance(0)
  }
  t.same(served, [...requests.keys()])
})

t.test('a slot that is waited for in vain is not lost', async t => {
  const { clock, want, use } = world()
  await use('warm')
  const [first, second, third] = [want('warm'), want('warm'), want('warm')]
  first.lease!.slot(first.client)
  const left = t.rejects(second.lease!.slot(second.client)!, { name: 'Gone' })
  let served = false
  third.lease!.slot(third.client)!.then(() => {
    served = true
  })
  second.client.leave()
  second.lease!.end()
  await left
  first.lease!.end()
  await clock.advance(0)
  t.ok(served)
})

t.test('several slots answer several requests at once, but an embedding model has one', async t => {
  const { use, want } = world({ slots: 4, resident: 2 })
  await use('chatty')
  await use('embed')
  const free = (name: string): number =>
    Array.from({ length: 6 }, () => want(name)).filter(({ lease, client }) => !lease!.slot(client)).length
  t.equal(free('chatty'), 4)
  t.equal(free('embed'), 1)
})

t.test('the client whose request caused a load owns it', async t => {
  const { clock, memory, want, listed } = world()
  const owner = want('a')
  const other = want('a')
  await clock.advance(900)
  owner.client.leave()
  await clock.advance(900)
  t.same(listed(), [], 'the load was aborted and begun again for the one who stayed')
  t.match(owner.fault, { name: 'Gone' })
  await clock.advance(100)
  t.ok(other.lease)
  t.match(memory.counters, { loads: 1, aborted: 1 })
})

t.test('a client that leaves while it waits for a load is passed over', async t => {
  const { clock, memory, want } = world({ resident: 3 })
  want('a')
  const waiting = want('b')
  want('c')
  waiting.client.leave()
  await clock.advance(2000)
  t.same(
    memory
      .list()
      .map(one => one.model.name.model)
      .sort(),
    ['a', 'c'],
  )
})

t.test('an idle model goes when its keep_alive is over', async t => {
  const { clock, use, listed } = world()
  await use('a')
  await clock.advance(299_999)
  t.same(listed(), ['a'])
  await clock.advance(1)
  t.same(listed(), [])
})

t.test('keep_alive sticks: a request without one leaves what the last one set', async t => {
  const { clock, memory, use } = world()
  await use('a', { keepAliveMs: Number.POSITIVE_INFINITY })
  await use('a')
  await clock.advance(10 * 365 * 86_400_000)
  t.equal(new Date(memory.list()[0]!.expiresAt).getUTCFullYear(), 2318)
  await use('a', { keepAliveMs: 2000 })
  await clock.advance(2000)
  t.same(memory.list(), [])
})

t.test('the time to expiry counts from the end of the last request', async t => {
  const { clock, memory, want, use } = world()
  await use('a', { keepAliveMs: 10_000 })
  const before = memory.list()[0]!.expiresAt
  const request = want('a')
  await clock.advance(60_000)
  t.equal(memory.list()[0]!.expiresAt, before, 'while busy the old time is shown')
  request.lease!.end()
  t.equal(memory.list()[0]!.expiresAt, clock.now() + 10_000)
})

t.test('keep_alive 0 with a prompt unloads right after it', async t => {
  const { use, listed } = world()
  await use('a', { keepAliveMs: 0 })
  t.same(listed(), [])
})

t.test('an unload of a busy model lets its requests end and shows an expiry in the past', async t => {
  const { clock, memory, want, listed } = world()
  const request = want('a')
  await clock.advance(1000)
  memory.unload(model('a').blob)
  t.equal(memory.list()[0]!.expiresAt, clock.now())
  await clock.advance(5000)
  t.same(listed(), ['a'])
  request.lease!.end()
  t.same(listed(), [])
})

t.test('other load options load the model again, when its requests have ended', async t => {
  const { clock, memory, want, order } = world()
  const first = want('a')
  await clock.advance(1000)
  const second = want('a', { options: { num_ctx: 512 } })
  await clock.advance(5000)
  t.equal(second.lease, undefined)
  first.lease!.end()
  await clock.advance(1000)
  t.equal(second.lease!.contextLength, 512)
  t.same(order, ['a', 'a'])
  t.match(memory.counters, { loads: 2, reloaded: 1, evicted: 0 })
})

t.test('load options that come to the same do not', async t => {
  const { want, use } = world()
  await use('a')
  for (const options of [
    {},
    { num_ctx: 4096 },
    { num_gpu: -1 },
    { num_batch: 512 },
    { temperature: 0 },
    { num_thread: 0 },
  ])
    t.ok(want('a', { options }).lease, JSON.stringify(options))
  for (const options of [
    { num_ctx: 512 },
    { num_gpu: 3 },
    { num_thread: 4 },
    { use_mmap: true },
    { main_gpu: 1 },
  ])
    t.notOk(want('a', { options }).lease, JSON.stringify(options))
})

t.test('two names for one blob share a runner, and only the first is listed', async t => {
  const { memory, use, listed } = world()
  await use('a')
  const copy = { ...model('a'), name: parseName('copy') }
  t.notOk(
    memory.acquire({ model: copy, options: tune(copy, {}, undefined, 4096).load }, someone()) instanceof
      Promise,
  )
  t.same(listed(), ['a'])
})

t.test('a crashed runner is loaded again for the next request', async t => {
  const { clock, memory, want } = world()
  const request = want('a')
  await clock.advance(1000)
  request.lease!.crash()
  request.lease!.end()
  const next = want('a')
  t.notOk(next.lease)
  await clock.advance(1000)
  t.ok(next.lease)
  t.equal(memory.counters.loads, 2)
})
