/** `quipu agent join`: the agent of this machine gets its certificate, once, with the token that the house has made for it. */
import { joinHouse } from '../agent/join.ts'
import { systemClock } from '../clock.ts'
import { identityIn, tryFolder, writeHouse, writeIdentity } from '../pki/files.ts'
import { timeOf } from './quantities.ts'
import { plain, remark, say } from './terminal.ts'
import { type Given, misused, type Options, textOf } from './verb.ts'

/** Beside `house` and `data`, which every run of an agent has. */
export const joinOptions: Options = {
  token: {
    value: 'T',
    sentence: 'join: what `quipu pki invite NODE` printed on the house; works once',
  },
}

/** A clock that is so far from the house's is worth a word. */
const SKEW_MS = 120_000

export async function join(given: Given, dir: string): Promise<void> {
  const [house, token] = [textOf(given, 'house'), textOf(given, 'token')]
  if (house === undefined || token === undefined) {
    throw misused('quipu agent join needs --house HOST:PORT and --token T, as `quipu pki invite` prints them')
  }
  // The token works once: what it brings must have a place before it is told.
  const undo = await tryFolder(dir)
  const { identity, described } = await joinHouse(systemClock, house, token).catch(async error => {
    await undo()
    throw error
  })
  await writeIdentity(dir, identity)
  await writeHouse(dir, house)
  say(plain(`This is ${described.node} now, for the house at ${house}, until ${timeOf(described.until)}.`))
  say(plain(`Its key and certificate are in ${identityIn(dir)}; renewed by itself while the agent runs.`))
  const { data } = given.flags
  say(plain(`Run it with: quipu agent${data === undefined ? '' : ` --data ${dir}`}`))
  say('An agent that runs already goes on as it was, and is not let in: start it anew.')
  const skew = described.issuedAt - systemClock.now()
  if (Math.abs(skew) > SKEW_MS) {
    const way = skew > 0 ? 'behind' : 'ahead of'
    remark(
      `quipu: this machine's clock is ${Math.round(Math.abs(skew) / 60_000)} min ${way} the house's; set it (ntp), for certificates depend on it`,
    )
  }
}
