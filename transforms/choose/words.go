// SPDX-License-Identifier: Apache-2.0

package choose

// profile is what tells a language from its neighbours: frequent function words, all letters beyond a to z, endings, and runs of letters.
// They are facts of grammar, written down for this package.
type profile struct {
	code, words, letters, ends, inside string
}

var profiles = []profile{
	{
		"en",
		"the and of to in is that it was for on are as with his they at be this have from or had by not but what all " +
			"were we when your can said there use an each which she do how their if will up other about out many then them " +
			"these so some her would make like him into time has look two more go see no way could my than been who its now " +
			"did get come may you our just any because very only also should after before where why does i am he one three " +
			"four five six seven eight nine ten monday tuesday wednesday thursday friday saturday sunday please thanks " +
			"hello dear today tomorrow yesterday year day week month people work nothing nobody something every never " +
			"always again still while until too much such own same those both few here being done having",
		"", "ing tion ed ly ness", "th wh gh ck ea ou oo igh",
	},
	{
		"de",
		"der die das und in den von zu mit sich des auf für ist im dem nicht ein eine als auch es an werden aus er hat " +
			"dass sie nach wird bei einer um am sind noch wie einem über einen so zum haben nur oder aber vor zur bis mehr " +
			"durch man sein wurde sei ich wir ihr mich mir dich uns kein keine wenn weil schon doch dann jetzt hier sehr " +
			"war waren wieder immer kann muss eins zwei drei vier fünf sechs sieben acht neun zehn montag dienstag " +
			"mittwoch donnerstag freitag samstag sonntag bitte danke hallo liebe heute morgen gestern jahr tag woche monat " +
			"ihre ihren unser unsere seine seinen meine diese dieser dieses welche sollte können könnte würde hätte " +
			"habe hast seid etwas nichts niemand jemand alle alles ja nein gibt mal beim ins vom gegen ohne zwischen " +
			"während",
		"äöüß", "ung lich keit heit isch sche chen", "sch ch ei ie tz ck pf eu",
	},
	{
		"fr",
		"le la les de des du un une et est en que qui dans pour pas au sur ne se ce il elle je vous nous ils plus par " +
			"avec son sa ses aux ou mais comme si leur tout cette être fait ont sont était avoir bien où sans même ces " +
			"mon ma mes très aussi peut notre votre lui deux encore alors donc quand ici déjà chez d l j qu n s trois " +
			"quatre cinq six sept huit neuf dix lundi mardi mercredi jeudi vendredi samedi dimanche merci bonjour cher " +
			"aujourd hui demain hier année jour semaine mois cet vos nos leurs étaient avait avaient serait sera faire " +
			"dit peu trop rien personne quelque toujours jamais avant après pendant contre entre sous depuis oui non m t",
		"éèàçêùôîûëïœâ", "tion ment eux eur ent ait ique", "ou eau ai oi eu qu ez",
	},
	{
		"es",
		"el la los las de del un una y es en que por para con no se su al lo como más pero sus le ya este sí porque " +
			"esta entre cuando muy sin sobre también me hasta hay donde quien desde todo nos durante todos uno les ni " +
			"contra otros ese eso ante ellos esto antes algunos qué unos yo otro otras otra él fue era ha han está " +
			"están son ser tiene mi tu te si aquí ahora dos tres cuatro cinco seis siete ocho nueve diez lunes martes " +
			"miércoles jueves viernes sábado domingo gracias hola querido hoy mañana ayer año día semana mes favor " +
			"había habían sido estaba estaban será sería tener tenía hacer hace dijo puede pueden nada nadie algo " +
			"siempre nunca mientras después bajo cada mismo misma nuestro nuestra usted ustedes nosotros aunque entonces " +
			"así sólo solo",
		"ñáéíóúü", "ción mente dad ando iendo ado", "ue ie ll rr ía",
	},
	{
		"it",
		"il lo la i gli le di del della dei delle un una e è in che per non con si da al sono come più ma anche suo " +
			"sua nel nella alla questo questa se ci ha hanno dal dalla o io tu lui lei noi voi loro mi ti era essere stato " +
			"fatto molto quando dove chi perché così ancora tutto tutti già solo dopo prima ogni senza quello quella sul " +
			"sulla ho abbiamo però due tre quattro cinque sei sette otto nove dieci lunedì martedì mercoledì giovedì " +
			"venerdì sabato domenica grazie ciao caro oggi domani ieri anno giorno settimana mese favore nostro nostra " +
			"vostro vostra suoi sue miei mie aveva avevano sarà sarebbe fare detto può possono niente nulla nessuno " +
			"qualcosa qualcuno sempre mai mentre durante contro tra fra fino stata stati avete siamo questi queste quelli " +
			"ne ed ad dall nell sull all dell l d",
		"èàùòìé", "zione mente are ere ato ità gli", "zz gli cch gg tt che cc",
	},
	{
		"pt",
		"o a os as de do da dos das um uma e é em que não para com por se no na nos nas ao à mais mas como foi ele " +
			"ela eu você nós eles seu sua ou quando muito já está também só pelo pela até isso entre era depois sem " +
			"mesmo aos ter seus quem nem suas meu minha têm numa num essa esse são tem ser há esta este onde porque " +
			"ainda agora aqui dois duas três quatro cinco seis sete oito nove dez segunda terça quarta quinta sexta " +
			"sábado domingo obrigado obrigada olá caro hoje amanhã ontem ano dia semana mês favor tinha tinham foram " +
			"sido estava estavam será seria fazer disse pode podem nada ninguém algo alguém sempre nunca enquanto " +
			"durante contra sob cada mesma nosso nossa nossos vocês embora então assim antes pelos pelas estão vai vou",
		"ãõçáéíóúâêôà", "ção mente dade ando endo ões", "ão lh nh õe ei ou",
	},
	{
		"nl",
		"de het een en van in is dat op te zijn met voor niet aan er om ook als bij maar door naar uit dan nog was die " +
			"hij ze wij je u ik mijn haar hun deze dit wat wie waar heeft hebben had wordt werd kan moet zal zou veel meer " +
			"over onder tegen tot want omdat geen al nu toen hier daar weer heel goed jullie onze ons hem twee drie vier " +
			"vijf zes zeven acht negen tien maandag dinsdag woensdag donderdag vrijdag zaterdag zondag bedankt hallo beste " +
			"vandaag morgen gisteren jaar dag week maand mij jou uw zich iets niets niemand iemand alle alles altijd nooit " +
			"tijdens zonder tussen kunnen kunt moeten wil willen worden geworden geweest waren doen gaan gaat komt alleen " +
			"toch even",
		"éëï", "lijk heid tie isch ijk aar", "ij oe aa ee oo ui uu sch",
	},
	{
		"sv",
		"och du i att det som en på är av för med till den har de inte om ett han men var jag sig från vi så kan när " +
			"man nu ska skulle hade eller vad efter bara också mycket där här dem hon vara blir blev mot under över " +
			"utan finns min din sin er oss mig dig alla detta dessa varför eftersom redan igen något några två tre fyra " +
			"fem sex sju åtta nio tio måndag tisdag onsdag torsdag fredag lördag söndag tack hej kära idag imorgon " +
			"igår år dag vecka månad vår vårt våra deras hennes hans ingen inget inga någon allt alltid aldrig ännu " +
			"medan före mellan genom kunna måste vill bli blivit varit göra gör gick går kommer sa säga får fick bra " +
			"mer mest samt fortfarande",
		"åäöé", "ning het arna erna isk ade", "ck sk ör fö ll tt",
	},
	{
		"da",
		"og du vær gang i at det som en på er af for med til den har de ikke om et han men var jeg sig fra vi så kan når man nu " +
			"skal ville havde eller hvad efter kun også meget der her dem hun være bliver blev mod under over uden min " +
			"din sin jer os mig dig alle dette disse hvorfor fordi allerede igen noget nogle hvor mellem hvis end to tre " +
			"fire fem seks syv otte ni ti mandag tirsdag onsdag torsdag fredag lørdag søndag tak hej kære idag morgen " +
			"går år dag uge måned vores deres hendes hans ingen intet nogen alt altid aldrig endnu mens før gennem " +
			"kunne må måtte vil blevet været gøre gør gik kommer sagde sige får fik god mere mest samt stadig ad " +
			"jeres ud ind op ned lidt",
		"åæøé", "ning hed erne ede isk", "ej hv dt øg lg ld",
	},
	{
		"no",
		"og du vær gang i å det som en på er av for med til den har de ikke om et han men var jeg seg fra vi så kan når man nå " +
			"skal ville hadde eller hva etter bare også mye der her dem hun være blir ble mot under over uten min din sin " +
			"dere oss meg deg alle dette disse hvorfor fordi allerede igjen noe noen hvor mellom hvis enn to tre fire fem " +
			"seks sju åtte ni ti mandag tirsdag onsdag torsdag fredag lørdag søndag takk hei kjære idag morgen går år " +
			"dag uke måned vår vårt våre deres hennes hans ingen intet alt alltid aldri ennå mens før gjennom kunne " +
			"må måtte vil blitt vært gjøre gjør gikk kommer sa si får fikk bra god mer mest samt fortsatt opp ut inn " +
			"ned litt mitt ditt",
		"åæøé", "ning het ene ede isk", "øy kk hv sj ei øk",
	},
	{
		"fi",
		"ja on ei että se oli hän mutta ovat kun niin joka myös kuin tai sen ne jos olla ole minä sinä me te he " +
			"tämä nämä mitä missä vain jo nyt sitten vielä kuitenkin mukaan jälkeen hyvin koska siitä tässä " +
			"siellä olen olet olemme mikä kaikki paljon aina voi voidaan yksi kaksi kolme neljä viisi kuusi seitsemän " +
			"kahdeksan yhdeksän kymmenen maanantai tiistai keskiviikko torstai perjantai lauantai sunnuntai kiitos hei " +
			"hyvä tänään huomenna eilen vuosi päivä viikko kuukausi meidän teidän heidän minun sinun hänen " +
			"minulle sinulle meille teille meitä teitä en et emme ette eivät olivat ollut olisi tehdä sanoi voivat " +
			"pitää täytyy ennen aikana ilman kanssa mitään kukaan joku jotain koko taas ehkä",
		"äöå", "ssa ssä sta stä lla llä nen inen", "aa ää ii uu yy kk tt ss nn ie uo yö",
	},
	{
		"pl",
		"i w na z do że się nie jest to o jak ale po co tak za od przez dla są był była było być tym tego ten ta " +
			"te ich jego jej czy już tylko może oraz ma przed pod bardzo kiedy gdzie który która które mnie mi ci go " +
			"będzie jestem także więc lub aby bo nas wam jeden dwa dwie trzy cztery pięć sześć siedem osiem " +
			"dziewięć dziesięć poniedziałek wtorek środa czwartek piątek sobota niedziela proszę dziękuję cześć " +
			"drogi dziś jutro wczoraj rok dzień tydzień miesiąc nasz nasza wasz swój swoje nikt nic ktoś coś " +
			"wszystko zawsze nigdy jeszcze podczas bez między można musi mogą chce jeśli ponieważ",
		"ąćęłńóśźż", "ość nie ego ych ski ska", "sz cz rz dz prz ow",
	},
	{
		"cs",
		"a v na se je že s z do to o jako ale po co tak za od pro jsou byl byla bylo být tím toho ten ta ty jeho " +
			"její již jen může nebo má před pod velmi kde který která které mě mi ji ho bude jsem také proto aby " +
			"protože nás vám když až už podle při jsme není jeden dva dvě tři čtyři pět šest sedm osm devět " +
			"deset pondělí úterý středa čtvrtek pátek sobota neděle prosím děkuji ahoj milý dnes zítra včera " +
			"rok den týden měsíc náš naše váš svůj své nikdo nic někdo něco všechno vždy nikdy ještě během " +
			"bez mezi přes musí mohou chce pokud",
		"ěščřžýáíéúůťďňó", "ost ní ého ých ský ská", "ch ov ou ně ře při",
	},
	{
		"ro",
		"și de la în a cu pe nu că o un din este se care mai pentru sunt dar ce fi ca au fost prin sau am ai are " +
			"după până când unde foarte doar acest această acum eu tu el ea noi voi ei lui lor le îi sa său al ale " +
			"cel cea cei fără despre între dacă deja tot toate unu doi două trei patru cinci șase șapte opt nouă " +
			"zece luni marți miercuri joi vineri sâmbătă duminică mulțumesc salut dragă astăzi mâine ieri an zi " +
			"săptămână lună vă ne te mă noastră nostru vostru nimeni nimic cineva ceva mereu niciodată încă prea " +
			"timp poate pot trebuie vrea erau fie unui unei unor printr",
		"ăâîșțşţ", "ului ilor ției ește", "oa ea ie ce ul",
	},
	{
		"hu",
		"a az és hogy nem is egy van volt meg de ez ha csak már még mint vagy ki el be mert most itt ott lesz lehet " +
			"kell nagyon minden azt ezt én te ő mi ti ők akkor után előtt alatt sem sok jó való olyan ami aki ahol " +
			"amikor vannak voltak lenne kettő két három négy öt hat hét nyolc kilenc tíz hétfő kedd szerda " +
			"csütörtök péntek szombat vasárnap köszönöm kérem szia kedves ma holnap tegnap év nap hónap senki " +
			"semmi valaki valami mindig soha közben nélkül között tud akar ezért hanem pedig szerint miatt minket",
		"őűáéíóöúü", "ban ben nak nek val vel ság ség", "sz gy ny zs cs ek",
	},
	{
		"tr",
		"ve bir bu siz biz ona ondan bundan buna da de için ile çok ama ne o olarak gibi daha en var yok ben sen biz siz onlar şu mi mı değil " +
			"sonra kadar her olan oldu olduğu ki ya veya şey zaman nasıl neden nerede kim hiç diye göre önce bile " +
			"artık şimdi bana sana onu bunu benim iki üç dört beş altı yedi sekiz dokuz on pazartesi salı " +
			"çarşamba perşembe cuma cumartesi pazar lütfen teşekkür merhaba sayın bugün yarın dün yıl gün hafta " +
			"ay bizim sizin onun onların kimse hiçbir biri hep hâlâ iken gerek lazım olacak olması oluyor ediyor " +
			"edildi yapmak etti eğer çünkü böyle şöyle öyle üzere kendi bütün tüm bazı sadece",
		"ğışçöüâî", "lar ler dır dir dur dür mak mek ında inde ını ini unu ünü lık lik luk lük sın sin ımız imiz ınız iniz unuz ünüz dan den tan ten ken acak ecek miş mış yız yiz dık dik tık tik", "yor ün ın lı ya rı",
	},
	{
		"id",
		"yang dan di itu dengan untuk tidak ini dari dalam akan pada juga saya ke karena ada mereka sudah bisa oleh " +
			"atau kami kita kamu dia anda telah seperti lebih hanya saat lalu namun tetapi sangat harus dapat apa siapa " +
			"mana bagaimana belum masih para sebuah satu dua tiga empat lima enam tujuh delapan sembilan sepuluh senin " +
			"selasa rabu kamis jumat sabtu minggu terima kasih halo hari besok kemarin tahun bulan kalian semua jangan jika " +
			"kalau agar supaya lagi pernah",
		"", "kan nya annya", "ng ny kan eng ber per",
	},
	{
		"vi",
		"và của là có không được cho trong người một những với các này đó khi đã để từ " +
			"như nhưng cũng ra vào lại còn đến thì tôi bạn anh chị em chúng họ sẽ rất nhiều nếu " +
			"vì ở trên về theo đang gì ai làm hai ba bốn năm sáu bảy tám chín mười cảm ơn xin chào " +
			"hôm nay ngày mai tuần tháng",
		"ăâđêôơưạảấầẩẫậắằặẹẻẽếềểễệỉịọỏốồổỗộớờởợụủứừửữựỳỷỹáàãéèíìóòõúùýĩũ", "", "ng nh ch th",
	},
	{
		"ru",
		"и в не на я что он с как это по но они мы все она так его к у же " +
			"вы за бы от мне было вот ещё еще нет о из ему когда даже ну " +
			"вдруг ли если уже или ни быть был него до вас опять вам ведь " +
			"там потом себя ничего ей может где есть надо для тебя их чем " +
			"была сам чтоб без будто тоже кто этот того потому какой " +
			"очень после также который один два три четыре пять шесть " +
			"семь восемь девять десять понедельник вторник среда " +
			"четверг пятница суббота воскресенье пожалуйста спасибо " +
			"здравствуйте сегодня завтра вчера год день неделя месяц наш " +
			"наша ваш свой никто никогда всегда нас нам эта эти",
		"ыэъё", "ого ть ение ция ский", "ться ого ств",
	},
	{
		"uk",
		"і в не на я що він з як це по але вони ми все вона так його до у " +
			"же ви за від мені було ось ще ні та із йому коли навіть чи " +
			"якщо вже або бути був нього вас вам там потім себе нічого їй " +
			"може де є треба для тебе їх ніж була сам без теж хто цей того " +
			"тому який дуже після також один два три чотири п шість сім " +
			"вісім дев десять понеділок вівторок середа четвер субота " +
			"неділя будь ласка дякую сьогодні завтра вчора рік день " +
			"тиждень місяць наш наша ваш свій ніхто ніколи завжди нас нам " +
			"ця ці бо щоб",
		"іїєґ", "ння ти ого ський ція", "ськ нн ія",
	},
	{
		"bg",
		"и в не на аз че той с как това по но те ние всичко тя така го " +
			"към у вие за би от ми беше ето още няма се из му когато дори ли " +
			"ако вече или да е бъде бил него до вас вам там после себе си " +
			"нищо ѝ може къде има трябва теб ги била сам без също кой този " +
			"защото който много след са съм един два две три четири пет " +
			"шест седем осем девет десет понеделник вторник сряда " +
			"четвъртък петък събота неделя моля благодаря здравейте " +
			"днес утре вчера година ден седмица месец наш наша ваш свой " +
			"никой винаги никога нас нам която които тази тези бяха имат " +
			"преди",
		"ъ", "ният ата ето ите ване", "ят ът",
	},
}
