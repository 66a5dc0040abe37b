/** A balancer that binds each request to a node when it comes; inside the node Ollama's own queue decides. */
import { serviceMs } from './fleet.ts'
import { type BoundPolicy, type Choosable, POLICIES, type Score } from './policies.ts'
import type { Outcome, Site } from './site.ts'
import type { Arrival } from './trace.ts'
import type { Player, World } from './world.ts'

interface Booked {
  readonly tokens: number
  readonly workMs: number
  readonly model: string
}

/** Requests sent to a node that have not ended. */
class Book {
  readonly #booked = new Map<Outcome, Booked>()
  readonly #byModel = new Map<string, number>()
  tokens = 0
  workMs = 0

  get connections(): number {
    return this.#booked.size
  }

  of(model: string): number {
    return this.#byModel.get(model) ?? 0
  }

  add(outcome: Outcome, booked: Booked): void {
    this.#booked.set(outcome, booked)
    this.#byModel.set(booked.model, this.of(booked.model) + 1)
    this.tokens += booked.tokens
    this.workMs += booked.workMs
  }

  drop(outcome: Outcome): void {
    const { tokens, workMs, model } = this.#booked.get(outcome)!
    this.#booked.delete(outcome)
    this.#byModel.set(model, this.of(model) - 1)
    this.tokens -= tokens
    this.workMs -= workMs
  }
}

type Expected = (arrival: Arrival) => Pick<Arrival, 'promptTokens' | 'outputTokens'>

export const bound =
  (name: BoundPolicy, expected: Expected) =>
  ({ clock, sites, random, over }: World): Player => {
    const { score, sample }: { score: Score; sample?: number } = POLICIES[name]
    const all = [...sites.values()]
    const books = new Map(all.map(site => [site, new Book()]))
    let turn = 0

    function look(site: Site, arrival: Arrival): Choosable {
      const { node } = site
      const book = books.get(site)!
      const pace = site.pace(arrival.model)
      const own = expected(arrival)
      const { promptMs, outputMs } = serviceMs(own, pace)
      return {
        slots: node.slots,
        speed: node.speed,
        connections: book.connections,
        sameModel: book.of(arrival.model),
        tokens: book.tokens,
        ownTokens: own.promptTokens + own.outputTokens,
        workMs: book.workMs,
        ownMs: promptMs + outputMs,
        loadMs: pace.loadMs,
        loaded: site.resident.includes(arrival.model),
      }
    }

    function choose(arrival: Arrival): Site | undefined {
      const able = all.filter(site => site.up && site.has(arrival.model))
      const drawn = sample === undefined ? able : draw(able, sample, random)
      let best: { readonly site: Site; readonly value: number } | undefined
      for (let i = 0; i < drawn.length; i += 1) {
        const site = drawn[(turn + i) % drawn.length]!
        const value = score(look(site, arrival))
        if (best === undefined || value < best.value) best = { site, value }
      }
      turn += 1
      return best?.site
    }

    function bind(outcome: Outcome): void {
      const { arrival } = outcome
      const site = choose(arrival)
      if (site === undefined) return over(outcome)
      const book = books.get(site)!
      const { loaded, sameModel, ownTokens, ownMs, loadMs } = look(site, arrival)
      book.add(outcome, {
        tokens: ownTokens,
        workMs: ownMs + (loaded || sameModel > 0 ? 0 : loadMs),
        model: arrival.model,
      })
      site.send(outcome, {
        begun() {},
        ended() {
          book.drop(outcome)
          over(outcome)
        },
      })
    }

    /** A client that has waited long enough without a slot hangs up. */
    function leave(outcome: Outcome): void {
      const site = sites.get(outcome.node ?? '')
      if (site === undefined || outcome.startedAt !== undefined) return
      site.cut(outcome)
      books.get(site)!.drop(outcome)
      over(outcome)
    }

    return {
      open: async () => {},
      arrived(outcome) {
        const { patienceMs } = outcome.arrival
        if (Number.isFinite(patienceMs)) clock.after(patienceMs, () => leave(outcome))
        bind(outcome)
      },
      lost(site, cut) {
        for (const outcome of cut) {
          books.get(site)!.drop(outcome)
          if (outcome.begunAt === undefined) bind(outcome)
          else over(outcome)
        }
      },
      returned() {},
    }
  }

function draw(sites: readonly Site[], count: number, random: () => number): readonly Site[] {
  const left = [...sites]
  const drawn: Site[] = []
  while (drawn.length < count && left.length > 0) {
    drawn.push(...left.splice(Math.floor(random() * left.length), 1))
  }
  return drawn
}
