/** How long does a model take to load on a node, and a request of it to be answered? */
import { replicaId, replicaParts } from '../../machines/replica.ts'
import { projection } from './projection.ts'

interface Estimates {
  /** By `model@node`, and by model alone for nodes where it was never seen; milliseconds, moving averages. */
  readonly loadMs: Map<string, number>
  readonly runMs: Map<string, number>
  readonly sizeBytes: Map<string, number>
}

export type EstimatesProjection = ReturnType<typeof estimates>

/** Each new figure moves the average by this much: about the last eight count. */
const WEIGHT = 0.25

export const estimates = () =>
  projection({ loadMs: new Map(), runMs: new Map(), sizeBytes: new Map() } as Estimates, {
    'replica.found': (self, { id, data }) => void self.sizeBytes.set(id, data.sizeBytes),
    'replica.loaded': (self, { id, data: { ms } }) => {
      if (ms === undefined) return
      learn(self.loadMs, id, ms)
      learn(self.loadMs, replicaParts(id).model, ms)
    },
    'request.completed': (self, { data: { node, model, runMs, status } }) => {
      if (status >= 400) return
      learn(self.runMs, replicaId(model, node), runMs)
      learn(self.runMs, model, runMs)
    },
    'model.gone': (self, { id }) => {
      self.loadMs.delete(id)
      self.runMs.delete(id)
    },
    'replica.removed': (self, { id }) => {
      self.loadMs.delete(id)
      self.runMs.delete(id)
      self.sizeBytes.delete(id)
    },
    'node.removed': (self, { id }) => {
      for (const map of [self.loadMs, self.runMs, self.sizeBytes]) {
        for (const key of map.keys()) if (replicaParts(key).node === id) map.delete(key)
      }
    },
  })

/** Before anything was seen: a fixed part, then a disk that reads 500 MB/s. Ollama's loads take 2 to 30 s. */
const LOAD_PRIOR_MS = 1_500
const DISK_BYTES_PER_MS = 500_000
/** Before anything was seen: a short answer. */
const RUN_PRIOR_MS = 4_000

/** What it took there; else what it took elsewhere; else what its size suggests. */
export function loadEstimateMs({ loadMs, sizeBytes }: Estimates, replica: string): number {
  const seen = loadMs.get(replica) ?? loadMs.get(replicaParts(replica).model)
  return Math.round(seen ?? LOAD_PRIOR_MS + (sizeBytes.get(replica) ?? 0) / DISK_BYTES_PER_MS)
}

export function runEstimateMs({ runMs }: Estimates, replica: string): number {
  return Math.round(runMs.get(replica) ?? runMs.get(replicaParts(replica).model) ?? RUN_PRIOR_MS)
}

function learn(averages: Map<string, number>, key: string, ms: number): void {
  const known = averages.get(key)
  averages.set(key, known === undefined ? ms : known + WEIGHT * (ms - known))
}
