// The risks that a vote can name, in the order of the taxonomy (experts/taxonomy.py; a test compares them), each with its
// key. The fine-grained ones have a capital letter: Shift and the letter.

export const CRITICAL = [
  ["hate", "Hate", "h"],
  ["sexual", "Sexual", "x"],
  ["violence", "Violence", "v"],
  ["suicide_and_self_harm", "Suicide, self-harm", "f"],
  ["threat", "Threat", "t"],
  ["sexual_minor", "Sexual, minor", "m"],
  ["guns_and_illegal_weapons", "Weapons", "g"],
  ["controlled_substances", "Drugs", "d"],
  ["criminal_planning", "Crime", "r"],
  ["pii_privacy", "Private data", "i"],
  ["harassment", "Harassment", "a"],
  ["profanity", "Profanity", "w"],
  ["other", "Other", "o"],
];

export const FINE = [
  ["illegal_activity", "Illegal activity", "I"],
  ["immoral_unethical", "Unethical", "E"],
  ["unauthorized_advice", "Advice", "A"],
  ["political_misinformation_conspiracy", "Misinformation", "P"],
  ["fraud_deception", "Fraud", "F"],
  ["copyright_trademark_plagiarism", "Copyright", "C"],
  ["high_risk_government_decision_making", "Government decision", "G"],
  ["malware", "Malware", "M"],
  ["manipulation", "Manipulation", "N"],
];

export const RISKS = [...CRITICAL, ...FINE];
export const SHOWN = new Map(RISKS.map(([name, shown]) => [name, shown]));
export const BY_KEY = new Map(RISKS.map(([name, , key]) => [key, name]));
export const isFine = (name) => FINE.some(([fine]) => fine === name);
