/** What the house would run on: the Node, and how many files it may have open. */
import { readFile } from 'node:fs/promises'
import { holderOf } from '../../journal/lock.ts'
import { countOf } from '../quantities.ts'
import { type Finding, ok, type Room, warning } from './finding.ts'

/** What package.json asks for; an older one does not even read the source. */
const NODE_MAJOR = 24
/** A client and its node are two; then LevelDB's tables, and the spool. */
const FILES_WANTED = 8_192

export const machine: Room = async ({ dir }) => {
  const found = await holderOf(dir)
  const house = found !== undefined && found !== 'torn' && found.alive ? found.holder.pid : undefined
  return [node(), ...(await files(house))]
}

function node(): Finding {
  const { version } = process
  if (Number(/^v(\d+)/.exec(version)?.[1]) === NODE_MAJOR) return ok(`This is Node ${version}.`)
  return warning(
    `This is Node ${version}, and Quipu is tested on ${NODE_MAJOR}.`,
    `Install Node ${NODE_MAJOR}, or see that the service finds it first in its PATH.`,
  )
}

/** Of the house that runs, else of this very process; Node raises its soft limit to the hard one by itself. */
async function files(house: number | undefined): Promise<readonly Finding[]> {
  const text = await readFile(`/proc/${house ?? 'self'}/limits`, 'utf8').catch(() => '')
  const limit = /^Max open files +(\d+)/m.exec(text)?.[1]
  if (limit === undefined) return []
  const whose = house === undefined ? 'A house started from here' : `The house (process ${house})`
  const says = `${whose} may have ${countOf(Number(limit), 'file')} and connections open.`
  if (Number(limit) >= FILES_WANTED) return [ok(says)]
  const next = `Raise it: \`ulimit -n 65536\` before it, or LimitNOFILE=65536 in its systemd unit. Else it turns clients away.`
  return [warning(says, next)]
}
