/** What is sampled of each server. */

/**
 * 1 or 0: does it answer, with its breaker not open? · requests on it · milliseconds that the last look took · and where it
 * has an agent: shares of CPU and GPUs that are busy, bytes free of memory and disk, bytes used on GPUs, °C of the hottest,
 * watts. An older release leaves out of a file what it does not know.
 */
export const SAMPLED = [
  'health',
  'load',
  'latency',
  'cpu',
  'memory_free',
  'disk_free',
  'gpu',
  'gpu_memory',
  'gpu_temperature',
  'gpu_power',
] as const

export type Sampled = (typeof SAMPLED)[number]
