/** Long tables of facts, for the denser corpus. Every entry has to be learnt by heart. */

/** Capitals of countries. */
export const CAPITALS: Readonly<Record<string, string>> = table(
  "France Paris,Spain Madrid,Italy Rome,Germany Berlin,Austria Vienna,Portugal Lisbon," +
    "Greece Athens,Poland Warsaw,Hungary Budapest,Norway Oslo,Sweden Stockholm,Finland Helsinki," +
    "Denmark Copenhagen,Ireland Dublin,Belgium Brussels,Iceland Reykjavik,Russia Moscow," +
    "Ukraine Kyiv,Romania Bucharest,Bulgaria Sofia,Serbia Belgrade,Croatia Zagreb,Latvia Riga," +
    "Lithuania Vilnius,Estonia Tallinn,Slovenia Ljubljana,Slovakia Bratislava,Albania Tirana," +
    "Malta Valletta,Cyprus Nicosia,Turkey Ankara,Egypt Cairo,Kenya Nairobi,Ghana Accra," +
    "Morocco Rabat,Tunisia Tunis,Algeria Algiers,Ethiopia Addis-Ababa,Uganda Kampala," +
    "Senegal Dakar,Angola Luanda,Zambia Lusaka,Japan Tokyo,China Beijing,India New-Delhi," +
    "Thailand Bangkok,Vietnam Hanoi,Nepal Kathmandu,Iran Tehran,Iraq Baghdad,Jordan Amman," +
    "Lebanon Beirut,Qatar Doha,Oman Muscat,Mongolia Ulaanbaatar,Canada Ottawa,Cuba Havana," +
    "Peru Lima,Chile Santiago,Ecuador Quito,Uruguay Montevideo,Colombia Bogota," +
    "Venezuela Caracas,Paraguay Asuncion,Panama Panama-City,Jamaica Kingston,Australia Canberra",
);

/** Past tense of verbs that are not regular. */
export const PAST: Readonly<Record<string, string>> = table(
  "go went,see saw,take took,give gave,come came,make made,know knew,think thought,find found," +
    "tell told,say said,get got,run ran,write wrote,read read,eat ate,drink drank,sing sang," +
    "swim swam,begin began,break broke,speak spoke,choose chose,drive drove,ride rode,rise rose," +
    "fly flew,grow grew,throw threw,draw drew,blow blew,wear wore,tear tore,bear bore,sell sold," +
    "buy bought,bring brought,catch caught,teach taught,fight fought,seek sought,feel felt," +
    "keep kept,sleep slept,leave left,lose lost,meet met,sit sat,stand stood,win won,hold held," +
    "build built,send sent,spend spent,lend lent,hear heard,lead led,feed fed,pay paid,shine shone," +
    "steal stole,wake woke,fall fell,forget forgot,hide hid,bite bit,shake shook,freeze froze",
);

/** Words in Spanish. */
export const SPANISH: Readonly<Record<string, string>> = table(
  "dog perro,cat gato,house casa,water agua,bread pan,milk leche,red rojo,blue azul,green verde," +
    "white blanco,black negro,one uno,two dos,three tres,four cuatro,five cinco,six seis," +
    "seven siete,eight ocho,nine nueve,ten diez,sun sol,moon luna,star estrella,sea mar," +
    "river rio,tree arbol,flower flor,book libro,table mesa,door puerta,hand mano,head cabeza," +
    "eye ojo,day dia,night noche,week semana,month mes,year ano,friend amigo,child hijo," +
    "street calle,city ciudad,fish pez,bird pajaro,horse caballo,cow vaca,apple manzana," +
    "egg huevo,salt sal,fire fuego,snow nieve,rain lluvia,wind viento,king rey,queen reina," +
    "old viejo,new nuevo,big grande,small pequeno,good bueno,bad malo,fast rapido,slow lento",
);

/** Symbols of chemical elements. */
export const SYMBOLS: Readonly<Record<string, string>> = table(
  "hydrogen H,helium He,lithium Li,carbon C,nitrogen N,oxygen O,fluorine F,neon Ne,sodium Na," +
    "magnesium Mg,aluminium Al,silicon Si,phosphorus P,sulfur S,chlorine Cl,argon Ar,potassium K," +
    "calcium Ca,titanium Ti,chromium Cr,manganese Mn,iron Fe,cobalt Co,nickel Ni,copper Cu," +
    "zinc Zn,silver Ag,tin Sn,iodine I,tungsten W,platinum Pt,gold Au,mercury Hg,lead Pb,uranium U",
);

/** Plurals that are not made with an s. */
export const PLURALS: Readonly<Record<string, string>> = table(
  "mouse mice,goose geese,foot feet,tooth teeth,man men,woman women,child children,ox oxen," +
    "sheep sheep,deer deer,fish fish,leaf leaves,wolf wolves,knife knives,life lives,wife wives," +
    "half halves,shelf shelves,thief thieves,loaf loaves,calf calves,baby babies,city cities," +
    "story stories,box boxes,fox foxes,bus buses,glass glasses,dish dishes,watch watches," +
    "potato potatoes,tomato tomatoes,hero heroes,person people,penny pence,die dice",
);

/** Reads `key value,key value`; a hyphen in a value is a space. */
function table(text: string): Record<string, string> {
  return Object.fromEntries(
    text.split(",").map((entry) => entry.split(" ").map((word) => word.replaceAll("-", " "))),
  );
}

const ONES = ("zero one two three four five six seven eight nine ten eleven twelve thirteen " +
  "fourteen fifteen sixteen seventeen eighteen nineteen").split(" ");
const TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split(" ");

/** A whole number below 1000 in words, such as `three hundred and forty-two`. */
export function numberWords(value: number): string {
  if (value < 20) return ONES[value];
  if (value < 100) {
    const tens = TENS[Math.floor(value / 10) - 2];
    return value % 10 === 0 ? tens : `${tens}-${ONES[value % 10]}`;
  }
  const hundreds = `${ONES[Math.floor(value / 100)]} hundred`;
  return value % 100 === 0 ? hundreds : `${hundreds} and ${numberWords(value % 100)}`;
}

const ROMAN: readonly (readonly [number, string])[] = [
  [100, "C"],
  [90, "XC"],
  [50, "L"],
  [40, "XL"],
  [10, "X"],
  [9, "IX"],
  [5, "V"],
  [4, "IV"],
  [1, "I"],
];

/** A whole number from 1 to 399 as the Romans wrote it. */
export function roman(value: number): string {
  let rest = value;
  let text = "";
  for (const [size, sign] of ROMAN) {
    while (rest >= size) {
      text += sign;
      rest -= size;
    }
  }
  return text;
}
