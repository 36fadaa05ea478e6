// A battle without a vote outlives a reload of the page: this tab keeps its id, and the server knows the rest.

import { get } from "/playground/api.js";

const KEPT = "mene-battle";
export const keep = (id) => sessionStorage.setItem(KEPT, id);
export const forget = () => sessionStorage.removeItem(KEPT);

// The battle of before; null where there is none, or it has its vote.
export async function kept() {
  const id = sessionStorage.getItem(KEPT);
  if (!id) return null;
  try {
    const found = await get(`/api/battles/${encodeURIComponent(id)}`);
    if (!found.choice) return found;
  } catch (error) {
    if (![403, 404].includes(error.status)) throw error;
  }
  forget();
  return null;
}
