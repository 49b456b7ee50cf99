// The login page: sends the admin token once, and gets a cookie that scripts cannot read. Depends on nothing else of the console.
import { applyTheme, storedTheme } from "../state/theme_choice";

applyTheme(storedTheme());

const form = document.querySelector("form") as HTMLFormElement;
const input = document.getElementById("token") as HTMLInputElement;
const problem = document.getElementById("problem") as HTMLElement;

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  problem.textContent = "";
  const token = input.value;
  input.value = "";
  try {
    const response = await fetch("/console/api/login", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ token }),
    });
    if (response.ok) {
      location.replace("/console/");
      return;
    }
    problem.textContent = response.status === 401 ? "This is not the admin token." : `Pillion responded with status ${response.status}.`;
  } catch {
    problem.textContent = "Pillion does not respond. Is it still running?";
  }
  input.focus();
});
